"""From what a model writes to the typed parts of its answer, piece by piece as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .parts import PartDelta, Text


class ReplyParser(Protocol):
    """For one reply. It may hold back text until it is certain what that belongs to."""

    @property
    def thinks(self) -> bool:
        """Whether what comes next is said to nobody."""
        ...

    def feed(self, text: str, mark: str = "") -> list[PartDelta]:
        """`mark`: the special token that stands behind the text, if it is one of those that part a reply."""
        ...

    def finish(self) -> list[PartDelta]:
        """What was held back: no more is to come."""
        ...


class TextOnly:
    """Everything is said to the caller."""

    thinks = False

    def __init__(self, prompt_end: str = "") -> None: ...

    def feed(self, text: str, mark: str = "") -> list[PartDelta]:  # noqa: ARG002
        return [Text(text)] if text else []

    def finish(self) -> list[PartDelta]:
        return []


NewReplyParser = Callable[[str], ReplyParser]
"""From the prompt's end, behind all that was said in it: where a reply begins, its prompt may have opened a thought."""
