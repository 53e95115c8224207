"""The generator's replies are right: the model can only learn what they say."""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

import pytest

from warmturn_mini import values, words
from warmturn_mini.attributes import ATTRIBUTES, GROUPS, Attribute
from warmturn_mini.data import Speaker, Turn
from warmturn_mini.dialogues import dialogue
from warmturn_mini.evaluate import DISTANCES, ROWS
from warmturn_mini.memory import ASK_ME, MOST_NUMBERED
from warmturn_mini.small_talk import JOKES, NOT_KNOWN, TOO_SMALL, TOPICS, reply_to
from warmturn_mini.values import Split

SEEDS = range(40)
CAT = Attribute("cat", values.name, "called")
KEYS = Attribute("keys", values.spot, "spot", "are")
Make = Callable[[Speaker], Turn]


def speaker(seed: int, split: Split = "held_out") -> Speaker:
    return Speaker(Random(seed), split, split)


@pytest.mark.parametrize("seed", SEEDS)
def test_several_of_a_kind_are_all_in_what_is_said_and_noted(seed: int) -> None:
    somebody = speaker(seed)
    group = somebody.rng.choice(GROUPS)
    told = somebody.tell(group)
    value = somebody.memory.values[group.phrase]
    assert re.search("and|&|,", value)
    assert value in told.user or value.lower() in told.user
    assert told.assistant == f"Note 1: your {group.phrase} are {value}."
    assert somebody.ask(group).assistant == f"Your {group.phrase} are {value}."


@pytest.mark.parametrize(("count", "word"), [(1, "one"), (2, "two"), (3, "three"), (4, "four")])
def test_how_many_were_put_together_is_counted(count: int, word: str) -> None:
    names = ["Rex", "Luna Lee", "Mr Tom", "Zoë"][:count]
    assert {values.count_in_words(values.joined(names, Random(seed))) for seed in SEEDS} == {word}


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_each_of_several_values_is_of_the_split(split: Split) -> None:
    for seed in SEEDS:
        value = values.draw(values.Several(values.name), Random(seed), split)
        parts = re.split(r",? and |, | & ", value)
        assert [part for part in parts if values.is_held_out(part) != (split == "held_out")] == [], value


@pytest.mark.parametrize("seed", SEEDS)
def test_facts_told_in_one_sentence_are_all_noted(seed: int) -> None:
    somebody = speaker(seed)
    told = somebody.tell_several(2 + seed % 2)
    for phrase, value in somebody.memory.values.items():
        assert f"our {phrase} " in told.assistant
        assert value.replace("your", "my").lower() in told.user.lower()
    assert told.assistant.count(".") >= len(somebody.memory.values) == 2 + seed % 2


@pytest.mark.parametrize("seed", SEEDS)
def test_of_somebody_name_and_town_or_job_are_noted(seed: int) -> None:
    somebody = speaker(seed)
    told = somebody.tell_of_somebody()
    name, about = somebody.memory.values
    assert about in (f"{name}'s city", f"{name}'s job")
    noted, also = somebody.memory.values.values()
    assert told.assistant == f"Note 1: your {name} is {noted}. Note 2: your {about} is {also}."
    assert noted.lower() in told.user.lower()
    assert also.lower() in told.user.lower()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_told_anew_replaces_the_old(seed: int) -> None:
    somebody = speaker(seed)
    somebody.tell(KEYS)
    anew = somebody.tell_anew(KEYS)
    newest = somebody.memory.values["keys"]
    assert anew.assistant == f"Updated: your keys are {newest}."
    assert somebody.ask(KEYS).assistant == f"Your keys are {newest}."


def test_what_is_told_anew_often_begins_as_the_old() -> None:
    def alike(seed: int) -> bool:
        somebody = speaker(seed)
        somebody.tell(KEYS)
        old = somebody.memory.values["keys"].split()
        somebody.tell_anew(KEYS)
        return somebody.memory.values["keys"].split()[:2] == old[:2]

    assert 10 < sum(map(alike, range(100))) < 70


def test_several_of_a_kind_told_anew_are_no_more_than_can_be_counted() -> None:
    for seed in range(200):
        somebody = speaker(seed)
        somebody.tell(GROUPS[0])
        somebody.tell_anew(GROUPS[0])
        assert len(re.split(r",? and |, | & ", somebody.memory.values[GROUPS[0].phrase])) <= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_forgotten_is_not_said_again_until_it_is_told_again(seed: int) -> None:
    somebody = speaker(seed)
    somebody.tell(CAT)
    old = somebody.memory.values["cat"]
    forget = somebody.forget(CAT)
    assert forget.assistant == "Forgotten: your cat."
    assert "cat" in forget.user.lower()
    asked_for = somebody.ask(CAT).assistant
    assert asked_for == "Your cat? You asked me to forget it."
    assert somebody.sum_up().assistant == f"1. {asked_for}"
    assert somebody.tell(CAT).assistant == f"Updated: your cat is {somebody.memory.values['cat']}."
    assert somebody.ask(CAT).assistant == f"Your cat is {somebody.memory.values['cat']}."
    assert old not in somebody.memory.values.values()


def test_what_was_never_told_cannot_be_forgotten() -> None:
    assert speaker(1).forget(CAT).assistant == "Your cat? You haven't told me."


def test_a_summary_has_the_notes_by_their_numbers_each_as_it_is_now() -> None:
    somebody = speaker(1)
    assert somebody.sum_up().assistant == "You haven't told me anything yet."
    for say in (somebody.tell, somebody.tell_anew, somebody.correct):
        say(KEYS)
    assert somebody.add_to_list(2).assistant.startswith("Note 2: your shopping list is ")
    assert somebody.add_to_list(1).assistant.startswith("Updated: your shopping list is ")
    assert somebody.tell(CAT).assistant.startswith("Note 3: your cat is ")
    somebody.correct(KEYS)
    keys, listed, cat = (turn.assistant for turn in (somebody.ask(KEYS), somebody.ask_list(), somebody.ask(CAT)))
    assert somebody.sum_up().assistant == f"1. {keys} 2. {listed} 3. {cat}"


def test_of_many_notes_the_first_have_numbers_and_a_summary_says_that_there_are_more() -> None:
    somebody = speaker(2)
    told = [somebody.new_attribute() for _ in range(40)]
    told = list({attribute.phrase: attribute for attribute in told}.values())[: MOST_NUMBERED + 1]
    *numbered, beyond = (somebody.tell(attribute).assistant for attribute in told)
    assert [reply.split(":")[0] for reply in numbered] == [f"Note {number}" for number in range(1, MOST_NUMBERED + 1)]
    assert beyond.startswith("Noted: your ")
    answers = [somebody.ask(attribute).assistant for attribute in told[:MOST_NUMBERED]]
    expected = [f"{number}. {answer}" for number, answer in enumerate(answers, start=1)]
    assert somebody.sum_up().assistant == " ".join([*expected, ASK_ME])


@pytest.mark.parametrize("seed", SEEDS)
def test_all_things_for_the_list_are_listed_and_one_is_taken_off(seed: int) -> None:
    somebody = speaker(seed)
    added = somebody.add_to_list(3)
    items = list(somebody.memory.shopping)
    assert len(items) == 3 and all(item.lower() in added.user.lower() for item in items)
    assert added.assistant == f"Note 1: your shopping list is {', '.join(items)}."
    taken = somebody.take_off_list()
    (gone,) = set(items) - set(somebody.memory.shopping)
    assert gone.lower() in taken.user.lower()
    left = ", ".join(item for item in items if item != gone)
    assert taken.assistant == f"Updated: your shopping list is {left}."
    assert somebody.ask_list().assistant == f"Your shopping list is {left}."
    assert somebody.clear_list().assistant == "Updated: your shopping list is empty."


@pytest.mark.parametrize(
    ("family", "refusal"),
    [
        ("called", "You haven't told me."),
        ("spot", "You haven't told me where."),
        ("moment", "You haven't told me when."),
        ("favourite", "I don't know that yet."),
        ("job", "I don't know that yet."),
    ],
)
def test_a_refusal_fits_what_was_asked(family: str, refusal: str) -> None:
    attribute = next(attribute for attribute in ATTRIBUTES if attribute.family == family)
    asked = speaker(1).ask(attribute)
    assert (asked.assistant, asked.kind) == (f"Your {attribute.phrase}? {refusal}", "unknown")


@pytest.mark.parametrize(
    ("said", "reply"), [("who wrote this", NOT_KNOWN), ("write a poem", TOO_SMALL), ("can you sing", TOO_SMALL)]
)
def test_what_is_not_known_and_what_cannot_be_done_are_refused_in_their_own_words(said: str, reply: str) -> None:
    (question,) = (topic for topic in TOPICS if topic.name == "question")
    assert reply_to(said, question) == reply


def test_jokes_take_turns() -> None:
    somebody = speaker(1)
    told = [turn.assistant for turn in (somebody.chat() for _ in range(300)) if turn.assistant in JOKES]
    assert len(told) > len(JOKES)
    assert told == [JOKES[index % len(JOKES)] for index in range(len(told))]


def test_asked_for_more_after_a_joke_it_tells_the_next() -> None:
    somebody = speaker(1)
    assert [somebody.ask_for_joke().assistant, somebody.ask_for_more().assistant] == list(JOKES[:2])


@pytest.mark.parametrize("seed", SEEDS)
def test_dotted_values_have_dots(seed: int) -> None:
    assert re.fullmatch(r"\S+@\S+\.\S+", values.email(Random(seed)))
    assert re.fullmatch(r"(\S+\.)+\S+", values.website(Random(seed)))
    assert re.search(r"\. ", values.dotted_name(Random(seed)))


def turns() -> Iterator[Turn]:
    for seed in range(20):
        yield from islice(dialogue(Random(seed), "train", 12), 150)


def test_every_kind_of_turn_happens_and_no_slot_is_left_open() -> None:
    found = list(turns())
    assert {turn.kind for turn in found} == {"tell", "correct", "ask", "unknown", "list", "forget", "sum up", "chat"}
    assert [turn for turn in found if re.search(r"[{}]", turn.user + turn.assistant)] == []


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_evaluation_has_its_distance(row: str) -> None:
    for distance in DISTANCES:
        assert len(ROWS[row](speaker(distance), distance).turns) >= distance


def test_groups_and_single_ones_have_different_phrases() -> None:
    single = {attribute.phrase for attribute in ATTRIBUTES if attribute.family != "group"}
    assert single.isdisjoint(words.GROUPS)
