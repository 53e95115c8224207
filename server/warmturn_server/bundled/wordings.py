"""How people say things: the wordings of `wordings.json`, split into those trained on and those only tested on."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .values import Split

_ALL: dict[str, Any] = json.loads((Path(__file__).parent / "wordings.json").read_text(encoding="utf-8"))
SMALL_TALK: dict[str, list[str]] = _ALL["small_talk"]
TELL_OPENERS: list[str] = _ALL["around"]["tell_openers"]
ASK_OPENERS: list[str] = _ALL["around"]["ask_openers"]
TAILS: list[str] = _ALL["around"]["tails"]
CORRECTIONS: list[str] = _ALL["around"]["corrections"]
SYSTEM_PROMPTS: list[str] = _ALL["system_prompts"]


def tells(family: str) -> list[str]:
    wordings: list[str] = _ALL["facts"][family]["tell"]
    return wordings


def asks(family: str) -> list[str]:
    wordings: list[str] = _ALL["facts"][family]["ask"]
    return wordings


def of_split(wordings: Sequence[str], split: Split) -> Sequence[str]:
    """Every sixth wording is never trained on."""
    return [wording for index, wording in enumerate(wordings) if (index % 6 == 5) == (split == "held_out")]
