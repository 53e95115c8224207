"""State that is to stay for a time, whatever else wants its room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

BrokenBecause = Literal["disk_full", "corrupt", "lost", "fingerprint", "not_saved"]
"""Why state went that was promised: conversations needed its room on the disk, it was damaged, its files are gone, all
of other models had to go with something that was deleted, or it never came to the disk."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The first `num_tokens` of a prompt, for at least so many seconds."""

    num_tokens: int
    seconds: int


@dataclass(frozen=True, slots=True)
class PromiseRequest:
    """State of how much of a prompt is to stay. `owner`: with this conversation it is released, empty for none."""

    name: str
    tenant: str
    token_ids: tuple[int, ...]
    stretches: tuple[Stretch, ...]
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Promised:
    """What is promised under a name: until when (seconds since 1970), of how many tokens, in how many bytes.

    `is_kept`: all of it lies where it is kept.
    """

    until: float
    num_tokens: int
    num_bytes: int
    is_kept: bool


PIN: Final = "pin"
"""How the names begin of promises that were asked for by a call, not with a turn."""
