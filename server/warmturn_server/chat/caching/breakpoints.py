"""Which token of the prompt a marked place is: the end of a prefix that a caller expects to come again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..lookback.spans import Passage, Render, find_passages
from ..model import Item, as_messages
from ..parts import Mark, Text

MOST: Final = 4
"""So many does a request write in all; where the prompt's end is one too, one less is marked."""


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """Behind so many tokens; None where that cannot be told, for the template looks into what is said."""

    num_tokens: int | None
    ttl_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Behind so many characters of an item's text."""

    item: int
    num_chars: int
    mark: Mark


def find_breakpoints(
    text: str, ends: Sequence[int], instructions: str | None, items: Sequence[Item], render: Render, most: int
) -> tuple[Breakpoint, ...]:
    """The latest in the prompt `text`, which `render` made of instructions and items, and whose tokens end at `ends`.

    A token that goes on behind the mark is not part of the prefix.
    """
    places = list(_places(items))[-most:]
    if not places:
        return ()
    passages = {passage.message: passage for passage in find_passages(text, as_messages(instructions, items), render)}
    first = 1 if instructions else 0
    return tuple(
        Breakpoint(
            _num_tokens(text, ends, passages.get(place.item + first), items[place.item].text, place.num_chars),
            place.mark.ttl_seconds,
        )
        for place in places
    )


def _places(items: Sequence[Item]) -> Iterator[_Place]:
    for number, item in enumerate(items):
        said = list[str]()
        for part in item.content:
            if isinstance(part, Text):
                said.append(part.text)
                if part.mark:
                    yield _Place(number, len("\n".join(said)), part.mark)


def _num_tokens(text: str, ends: Sequence[int], passage: Passage | None, content: str, num_chars: int) -> int | None:
    """Templates trim what is said: a mark in what they left out is at the edge of the rest."""
    if passage is None:
        return None
    said = text[passage.start : passage.stop]
    inside = min(max(num_chars - max(content.find(said), 0), 0), len(said))
    return bisect_right(ends, passage.start + inside)
