"""How people say things: the wordings of `wordings.json`, split into those trained on and those only tested on."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .values import Split

_ALL: dict[str, Any] = json.loads((Path(__file__).parent / "wordings.json").read_text(encoding="utf-8"))
SYSTEM_PROMPTS: list[str] = _ALL["system_prompts"]


@cache
def tells(family: str, split: Split) -> Sequence[str]:
    return of_split(_ALL["facts"][family]["tell"], split)


@cache
def asks(family: str, split: Split) -> Sequence[str]:
    return of_split(_ALL["facts"][family]["ask"], split)


@cache
def people(family: str, split: Split) -> Sequence[str]:
    """Who somebody is, and where they live or what they work as, in one sentence."""
    return of_split(_ALL["people"][family], split)


@cache
def requests(kind: str, split: Split) -> Sequence[str]:
    """To sum up, to forget, to take off the list: what is done with facts already told."""
    return of_split(_ALL["requests"][kind], split)


@cache
def small_talk(topic: str, split: Split) -> Sequence[str]:
    return of_split(_ALL["small_talk"][topic], split)


@cache
def around(place: str, split: Split) -> Sequence[str]:
    """What stands before and after: openers, tails, corrections."""
    return of_split(_ALL["around"][place], split)


def of_split(wordings: Sequence[str], split: Split) -> Sequence[str]:
    """Every sixth wording is never trained on."""
    return tuple(wording for index, wording in enumerate(wordings) if (index % 6 == 5) == (split == "held_out"))
