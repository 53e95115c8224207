"""Leaves out the oldest exchanges of a conversation that no longer fits the model's context."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

from .model import Item

_INSTRUCTS = ("system", "developer")


class Exchanges:
    """What was said, from each of the user's turns to the next; whoever instructs the model is part of none."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        said = [number for number, item in enumerate(items) if item.role not in _INSTRUCTS]
        before = dict(zip(said[1:], said, strict=False))
        self._starts = [
            number
            for number in said
            if number not in before or (items[number].role == "user" and items[before[number]].role != "user")
        ]

    def __len__(self) -> int:
        return len(self._starts)

    def without(self, count: int) -> list[Item]:
        """All but the first `count` exchanges."""
        start = self._starts[count] if count else 0
        return [item for number, item in enumerate(self._items) if number >= start or item.role in _INSTRUCTS]


def num_to_drop(
    exchanges: Exchanges, fits: Callable[[int], bool], num_chars: Callable[[int], int], step_chars: int
) -> int:
    """How many exchanges have to go; the last one, which is to be answered, never does.

    `fits` and `num_chars` are asked of the prompt without so many. What goes is rounded up to whole steps of
    characters: then the next turns leave out the same, and go on from this one's state, until the next step is due.
    """
    if len(exchanges) < 2 or fits(0):
        return 0
    few = bisect_left(range(1, len(exchanges) - 1), True, key=fits) + 1
    whole = num_chars(0)
    step = math.ceil((whole - num_chars(few)) / step_chars) * step_chars
    more = range(few, len(exchanges))
    found = bisect_left(more, step, key=lambda count: whole - num_chars(count))
    return more[found] if found < len(more) else few
