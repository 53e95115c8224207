"""Dialogues to test with: each ends in a turn whose right reply is known."""

from collections.abc import Sequence
from dataclasses import dataclass

from .attributes import ATTRIBUTES, Attribute
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
    wanted = speaker.new_attribute()
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
    turns = [speaker.tell(speaker.new_attribute()), *(speaker.add_to_list() for _ in range(3))]
    turns += [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.ask_list()], "list")


def chatted(speaker: Speaker, distance: int) -> Trial:
    turns = [speaker.tell(speaker.new_attribute()) for _ in range(4)]
    return Trial([*turns, *(speaker.chat() for _ in range(distance))], "small talk")


def noted(speaker: Speaker, distance: int) -> Trial:
    """Is what was told understood? The acknowledgement is the answer here."""
    turns = [speaker.chat() for _ in range(distance)]
    return Trial([*turns, speaker.tell(speaker.new_attribute())], "acknowledgement")
