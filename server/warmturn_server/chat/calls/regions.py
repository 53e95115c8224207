"""Calls in a text that is all there: a prompt, or a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from ..parts import ToolCall, joined
from .formats import CallFormat
from .reading import CallReader


@dataclass(frozen=True, slots=True)
class Region:
    """`text[start:end]` are these calls, with the marks around them. `ids`: those that are written along."""

    start: int
    end: int
    calls: tuple[ToolCall, ...]
    ids: tuple[str | None, ...]

    def says_what(self, other: Region) -> bool:
        """The same calls, however they are written."""
        mine, its = ([(call.name, call.given) for call in region.calls] for region in (self, other))
        return mine == its and self.ids == other.ids and all(given is not None for _, given in mine)


class _AnyFunction(Mapping[str, Mapping[str, Any]]):
    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return {}

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def read_region(form: CallFormat, text: str, start: int) -> Region | None:
    """None where no calls stand there."""
    opening = next((mark for mark in sorted(form.openings, key=len)[::-1] if text.startswith(mark, start)), None)
    if opening is None:
        return None
    numbers = count()
    reader = CallReader(form, _AnyFunction(), lambda: f"call {next(numbers)}", set())
    pieces = reader.feed(text[start + len(opening) :])
    if not reader.written_ids:
        return None
    calls = tuple(call for call in joined(pieces) if isinstance(call, ToolCall))
    return Region(start, len(text) - len(reader.rest), calls, tuple(reader.written_ids))
