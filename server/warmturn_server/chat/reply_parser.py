"""From what a model writes to the typed parts of its answer, piece by piece as it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .parts import PartDelta, Text


@dataclass(frozen=True, slots=True)
class InCall(Text):
    """Part of what calls a function, as it is written: for a parser that reads calls."""


class ReplyParser(Protocol):
    """For one reply. It may hold back text until it is certain what that belongs to."""

    @property
    def thinks(self) -> bool:
        """Whether what comes next is said to nobody."""
        ...

    @property
    def calls(self) -> bool:
        """Whether what comes next is part of a call."""
        ...

    def feed(self, text: str, mark: str = "") -> list[PartDelta]:
        """`mark`: the special token that stands behind the text, if it is one of those that part a reply."""
        ...

    def finish(self) -> list[PartDelta]:
        """What was held back: no more is to come."""
        ...

    def flush(self) -> list[PartDelta]:
        """What was held back for a mark, for something else stands there."""
        ...

    def end_thought(self) -> None:
        """What comes next is not thought any more: something stands there that nobody thinks."""
        ...


class TextOnly:
    """Everything is said to the caller."""

    thinks = calls = False

    def feed(self, text: str, mark: str = "") -> list[PartDelta]:  # noqa: ARG002
        return [Text(text)] if text else []

    def finish(self) -> list[PartDelta]:
        return []

    flush = finish

    def end_thought(self) -> None: ...
