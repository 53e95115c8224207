"""Dialogues without end, and drills of what they have too little of."""

from collections.abc import Iterator
from random import Random

from .attributes import GROUPS
from .data import Speaker, Turn
from .memory import MOST_NUMBERED
from .values import Split

MAX_LIST_ITEMS = 7
MAX_DRILLED = MOST_NUMBERED + 1
"""Facts of which a drill has a summary."""
CHATTED_BEFORE_SUMMARIES = (0, 0, 0, 2, 6, 20)
_TOKENS_OF_CHAT, _TOKENS_OF_FACT = 26, 45
"""About, with the fact's place in a summary."""


def dialogue(rng: Random, split: Split, max_facts: int) -> Iterator[Turn]:
    """Endless turns. Telling, asking and chatting each have their own pace in every dialogue."""
    speaker = Speaker(rng, split, split, slips=split == "train")
    limit = rng.randint(1, max_facts)
    chat, correct = rng.choice((0.05, 0.15, 0.4, 0.8)), rng.choice((0.05, 0.25))
    lists, tell = rng.choice((0, 0.1, 0.3)), rng.choice((0.25, 0.5, 0.8, 0.95))
    joked = False
    while True:
        told = speaker.memory.values
        latest, speaker.latest = speaker.latest, None
        jokes = speaker.jokes
        if latest and rng.random() < 0.15:
            yield speaker.amend(latest) if rng.random() < 0.75 else speaker.tell_anew(latest)
        elif joked and rng.random() < 0.3:
            yield speaker.ask_for_more()
        elif rng.random() < chat:
            yield speaker.chat()
        elif rng.random() < 0.08:
            yield speaker.sum_up()
        elif rng.random() < lists:
            yield _about_the_list(speaker, rng)
        elif rng.random() < 0.14:
            forgotten = speaker.memory.forgotten()
            among_those = forgotten and rng.random() < 0.5
            yield speaker.ask(rng.choice(forgotten) if among_those else speaker.new_attribute())
        elif len(told) < limit and (not told or rng.random() < tell):
            yield _telling(speaker, rng)
        elif not told:
            continue
        elif rng.random() < 0.1:
            yield speaker.forget(speaker.known_attribute() if rng.random() < 0.8 else speaker.new_attribute())
        elif rng.random() < correct:
            known = speaker.known_attribute()
            yield speaker.correct(known) if rng.random() < 0.6 else speaker.tell_anew(known)
        elif len(told) > 1 and rng.random() < 0.1:
            yield speaker.ask_two()
        else:
            yield speaker.ask(speaker.known_attribute())
        joked = speaker.jokes > jokes


def told_and_summed_up(rng: Random, tokens: int) -> Iterator[Turn]:
    """Hardly more than what a summary of everything needs; some turns of chat stand between, before and behind it."""
    speaker = Speaker(rng, "train", "train", slips=True)
    chat, limit = rng.choice((0.0, 0.2, 0.5)), rng.randint(1, MAX_DRILLED)
    while len(speaker.memory.answers) < limit and tokens > 80:
        turn = speaker.chat() if rng.random() < chat else noted(speaker, rng)
        tokens -= _TOKENS_OF_CHAT if turn.kind == "chat" else _TOKENS_OF_FACT * (1 + turn.assistant.count(". "))
        yield turn
    for _ in range(min(rng.choice(CHATTED_BEFORE_SUMMARIES), tokens // _TOKENS_OF_CHAT)):
        yield speaker.chat()
    yield speaker.sum_up()
    while True:
        yield speaker.ask(speaker.known_attribute()) if speaker.memory.values and rng.random() < 0.5 else speaker.chat()


def noted(speaker: Speaker, rng: Random) -> Turn:
    """Something of which a summary will have to know."""
    kind = rng.random()
    if kind < 0.08:
        return speaker.add_to_list(rng.choice((1, 2, 3)))
    if kind < 0.2 and speaker.memory.values:
        known = speaker.known_attribute()
        if kind < 0.15:
            return speaker.correct(known)
        return speaker.tell_anew(known) if kind < 0.18 else speaker.forget(known)
    return _telling(speaker, rng)


def _telling(speaker: Speaker, rng: Random) -> Turn:
    kind = rng.random()
    if kind < 0.3:
        return speaker.tell_several(3 if rng.random() < 0.2 else 2)
    if kind < 0.42:
        return speaker.tell_of_somebody()
    if kind < 0.54:
        return speaker.tell(rng.choice(GROUPS))
    return speaker.tell(speaker.own_attribute() if kind < 0.68 else speaker.new_attribute())


def _about_the_list(speaker: Speaker, rng: Random) -> Turn:
    kind, shopping = rng.random(), speaker.memory.shopping
    if kind < 0.35 or (len(shopping) >= MAX_LIST_ITEMS and kind < 0.6):
        return speaker.ask_list()
    if shopping and (kind < 0.47 or len(shopping) >= MAX_LIST_ITEMS):
        return speaker.take_off_list() if rng.random() < 0.8 else speaker.clear_list()
    return speaker.add_to_list(rng.choice((1, 1, 1, 2, 3, 4)))
