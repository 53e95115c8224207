"""What the bundled model is tested on must not be what it was trained on."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from warmturn_mini import wordings as module
from warmturn_mini.wordings import of_split

ALL: dict[str, Any] = json.loads((Path(module.__file__).parent / "wordings.json").read_text(encoding="utf-8"))


def plain(wording: str) -> str:
    """Without what people leave out: capitals, punctuation, British spelling."""
    words = re.sub(r"[^a-z0-9{} ]", "", wording.lower().replace("favorite", "favourite")).split()
    return " ".join(words) or wording.strip()


def lists() -> Iterator[tuple[str, Sequence[str]]]:
    for family, ways in ALL["facts"].items():
        yield from ((f"{family} {way}", found) for way, found in ways.items())
    for part in ("people", "requests", "small_talk", "around"):
        yield from ((f"{part} {name}", found) for name, found in ALL[part].items())


@pytest.mark.parametrize(("name", "found"), [pytest.param(*entry, id=entry[0]) for entry in lists()])
def test_no_wording_is_there_twice(name: str, found: Sequence[str]) -> None:
    counts = Counter(map(plain, found))
    assert [wording for wording, count in counts.items() if count > 1] == [], name


@pytest.mark.parametrize("family", ALL["facts"])
@pytest.mark.parametrize(
    ("way", "before", "after"), [("tell", "tell_openers", "tails"), ("ask", "ask_openers", "ask_tails")]
)
def test_no_held_out_wording_is_put_together_from_trained_parts(family: str, way: str, before: str, after: str) -> None:
    assert composed_ones(ALL["facts"][family][way], before, after) == []


@pytest.mark.parametrize("kind", ALL["people"])
def test_no_held_out_way_to_tell_of_somebody_is_put_together_from_trained_parts(kind: str) -> None:
    assert composed_ones(ALL["people"][kind], "tell_openers", "tails") == []


@pytest.mark.parametrize("kind", ALL["requests"])
def test_no_held_out_request_is_put_together_from_trained_parts(kind: str) -> None:
    assert composed_ones(ALL["requests"][kind], "ask_openers", "ask_tails") == []


def composed_ones(wordings: Sequence[str], before: str, after: str) -> Sequence[str]:
    trained, held_out = (plain_ones(of_split(wordings, split)) for split in ("train", "held_out"))
    openers, tails = (plain_ones(of_split(ALL["around"][place], "train")) for place in (before, after))
    return [wording for wording in held_out if is_composed(wording, openers, trained, tails)]


def plain_ones(found: Sequence[str]) -> set[str]:
    return {plain(wording) for wording in found}


def is_composed(wording: str, openers: set[str], middles: set[str], tails: set[str]) -> bool:
    words = wording.split()
    cuts = range(len(words) + 1)
    return any(
        " ".join(words[begin:end]) in middles
        and (begin == 0 or " ".join(words[:begin]) in openers)
        and (end == len(words) or " ".join(words[end:]) in tails)
        for begin, end in combinations(cuts, 2)
    )


def test_what_is_said_in_passing_has_one_reply() -> None:
    asked = [wording for ways in ALL["facts"].values() for wording in ways["ask"]]
    others = [*ALL["small_talk"].values(), *ALL["requests"].values()]
    counts = Counter(plain(wording) for found in others for wording in found)
    counts.update({plain(wording) for wording in asked})
    assert [wording for wording, count in counts.items() if count > 1] == []
