"""What the bundled model is tested on must not be what it was trained on."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from warmturn_server.bundled import wordings
from warmturn_server.bundled.wordings import of_split

ALL: dict[str, Any] = json.loads((Path(wordings.__file__).parent / "wordings.json").read_text(encoding="utf-8"))


def plain(wording: str) -> str:
    """Without what people leave out: capitals, punctuation, British spelling."""
    words = re.sub(r"[^a-z0-9{} ]", "", wording.lower().replace("favorite", "favourite")).split()
    return " ".join(words) or wording.strip()


def lists() -> Iterator[tuple[str, Sequence[str]]]:
    for family, ways in ALL["facts"].items():
        yield from ((f"{family} {way}", found) for way, found in ways.items())
    yield from ALL["small_talk"].items()
    yield from ALL["around"].items()


@pytest.mark.parametrize(("name", "found"), [pytest.param(*entry, id=entry[0]) for entry in lists()])
def test_no_wording_is_there_twice(name: str, found: Sequence[str]) -> None:
    counts = Counter(map(plain, found))
    assert [wording for wording, count in counts.items() if count > 1] == [], name


@pytest.mark.parametrize("family", ALL["facts"])
@pytest.mark.parametrize(
    ("way", "before", "after"), [("tell", "tell_openers", "tails"), ("ask", "ask_openers", "ask_tails")]
)
def test_no_held_out_wording_is_put_together_from_trained_parts(family: str, way: str, before: str, after: str) -> None:
    trained = of_split(ALL["facts"][family][way], "train")
    openers, tails = (["", *of_split(ALL["around"][place], "train")] for place in (before, after))
    held_out = {plain(wording) for wording in of_split(ALL["facts"][family][way], "held_out")}
    composed = {plain(opener + wording + tail) for opener, wording, tail in product(openers, trained, tails)}
    assert held_out & composed == set()


def test_what_is_said_in_passing_has_one_reply() -> None:
    asked = [wording for ways in ALL["facts"].values() for wording in ways["ask"]]
    counts = Counter(plain(wording) for topic in ALL["small_talk"].values() for wording in topic)
    counts.update({plain(wording) for wording in asked})
    assert [wording for wording, count in counts.items() if count > 1] == []
