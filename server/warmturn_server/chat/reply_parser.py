"""From what a model writes to the typed parts of its answer, piece by piece as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .parts import PartDelta, Text


class ReplyParser(Protocol):
    """For one reply. It may hold back text until it is certain what that belongs to."""

    def feed(self, text: str) -> list[PartDelta]: ...

    def finish(self) -> list[PartDelta]:
        """What was held back: no more is to come."""
        ...


class TextOnly:
    """Everything is said to the caller."""

    def feed(self, text: str) -> list[PartDelta]:
        return [Text(text)] if text else []

    def finish(self) -> list[PartDelta]:
        return []


NewReplyParser = Callable[[], ReplyParser]
