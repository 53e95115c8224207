"""Dialogues to test with: each ends in a turn whose right reply is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .attributes import ATTRIBUTES, DOTTED, GROUPS, Attribute
from .data import Speaker, Turn


@dataclass(frozen=True)
class Trial:
    """A dialogue whose last turn is the question."""

    turns: Sequence[Turn]
    family: str


def family_of(attribute: Attribute) -> str:
    if attribute not in ATTRIBUTES:
        return "made-up word"
    if attribute.phrase.startswith("favourite "):
        return "favourite"
    return attribute.family


def recall(speaker: Speaker, distance: int, facts: int = 1) -> Trial:
    """The fact is told, `distance - 1` turns pass (other facts first, then chat), and it is asked."""
    return _recall(speaker, distance, facts, speaker.new_attribute())


def recall_of_several(speaker: Speaker, distance: int) -> Trial:
    """What several of a kind are called: `Rex and Luna`."""
    return _recall(speaker, distance, 3, speaker.rng.choice(GROUPS))


def _recall(speaker: Speaker, distance: int, facts: int, wanted: Attribute) -> Trial:
    between = speaker.rng.randint(max(0, min(facts - 1, distance - 1) // 2), min(facts - 1, distance - 1))
    before = [speaker.tell(_other(speaker, wanted)) for _ in range(facts - 1 - between)]
    turns = [*before, speaker.tell(wanted)]
    turns += [speaker.tell(speaker.new_attribute()) for _ in range(between)]
    turns += [speaker.chat() for _ in range(distance - 1 - between)]
    return Trial([*turns, speaker.ask(wanted)], family_of(wanted))


def _other(speaker: Speaker, wanted: Attribute) -> Attribute:
    while (attribute := speaker.new_attribute()).phrase == wanted.phrase:
        pass
    return attribute


def corrected(speaker: Speaker, distance: int) -> Trial:
    """Told, then corrected, then asked; the newest must win."""
    wanted = speaker.new_attribute()
    turns = [speaker.tell(wanted), *(speaker.tell(speaker.new_attribute()) for _ in range(3)), speaker.correct(wanted)]
    turns += [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.ask(wanted)], "corrected")


def corrected_at_once(speaker: Speaker, distance: int) -> Trial:
    """Told, and at once corrected without its name: `No wait, it's Tom.`"""
    wanted = speaker.new_attribute()
    turns = [speaker.tell(speaker.new_attribute()), speaker.tell(wanted), speaker.amend(wanted)]
    turns += [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.ask(wanted)], "corrected at once")


def never_told(speaker: Speaker, distance: int) -> Trial:
    turns = [speaker.tell(speaker.new_attribute()) for _ in range(4)] + [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.ask(speaker.new_attribute())], "never told")


def shopping(speaker: Speaker, distance: int) -> Trial:
    turns = [
        speaker.tell(speaker.new_attribute()),
        *(speaker.add_to_list(2 if speaker.rng.random() < 0.15 else 1) for _ in range(3)),
    ]
    turns += [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.ask_list()], "list")


def chatted(speaker: Speaker, distance: int) -> Trial:
    turns = [speaker.tell(speaker.new_attribute()) for _ in range(4)]
    return Trial([*turns, *(speaker.chat() for _ in range(distance))], "small talk")


def noted(speaker: Speaker, distance: int) -> Trial:
    """Is what was told understood? The acknowledgement is the answer here."""
    turns = [speaker.chat() for _ in range(distance)]
    return Trial([*turns, speaker.tell(speaker.new_attribute())], "acknowledgement")


def noted_several(speaker: Speaker, distance: int) -> Trial:
    return _after_chat(speaker, distance, lambda: speaker.tell(speaker.rng.choice(GROUPS)), "several names")


def noted_dotted(speaker: Speaker, distance: int) -> Trial:
    return _after_chat(speaker, distance, lambda: speaker.tell(speaker.rng.choice(DOTTED)), "values with dots")


def noted_two(speaker: Speaker, distance: int) -> Trial:
    return _after_chat(speaker, distance, lambda: speaker.tell_several(2), "two facts")


def noted_of_somebody(speaker: Speaker, distance: int) -> Trial:
    return _after_chat(speaker, distance, speaker.tell_of_somebody, "somebody")


def listed_three(speaker: Speaker, distance: int) -> Trial:
    return _after_chat(speaker, distance, lambda: speaker.add_to_list(3), "three items")


def _after_chat(speaker: Speaker, distance: int, say: Callable[[], Turn], family: str) -> Trial:
    return Trial([*(speaker.chat() for _ in range(distance)), say()], family)


def taken_off(speaker: Speaker, distance: int) -> Trial:
    """Three things on the list, one of them taken off, and the list asked for."""
    turns = [speaker.tell(speaker.new_attribute()), speaker.add_to_list(3), speaker.take_off_list()]
    turns += [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.ask_list()], "taken off the list")


def told_anew(speaker: Speaker, distance: int) -> Trial:
    """Told twice with different values and no word of correction; the newest must win."""
    wanted = speaker.new_attribute()
    turns = [speaker.tell(speaker.new_attribute()), speaker.tell(wanted), speaker.tell_anew(wanted)]
    turns += [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.ask(wanted)], "told anew")


def forgets(speaker: Speaker, distance: int) -> Trial:
    """Asked to forget one of three facts."""
    turns = [speaker.tell(speaker.new_attribute()) for _ in range(3)]
    turns += [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.forget(speaker.known_attribute())], "forgets")


def forgotten(speaker: Speaker, distance: int) -> Trial:
    """Asked for what it was asked to forget."""
    turns = [speaker.tell(speaker.new_attribute()) for _ in range(3)]
    wanted = speaker.known_attribute()
    turns += [speaker.forget(wanted), *(speaker.chat() for _ in range(distance - 1))]
    return Trial([*turns, speaker.ask(wanted)], "forgotten")


def another_joke(speaker: Speaker, distance: int) -> Trial:
    turns = [speaker.ask_for_joke(), *(speaker.chat() for _ in range(distance - 1))]
    return Trial([*turns, speaker.ask_for_more() if distance == 1 else speaker.ask_for_joke()], "joke")


def summed_up(speaker: Speaker, distance: int, facts: int) -> Trial:
    turns = [speaker.tell(speaker.new_attribute()) for _ in range(facts)]
    turns += [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.sum_up()], f"summary of {facts}")
