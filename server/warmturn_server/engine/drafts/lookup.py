"""Guesses how a text goes on from how it went on before, where the same tokens stood."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ...engine_api.request import TokenIds

LEAST_MATCH: Final = 2
_MOST_MATCH: Final = 32
"""Where the same tokens stood more than once, so many of those before them tell which place is the most alike."""
_MOST_PLACES: Final = 256
_NO_TOKEN: Final = -1
"""Parts texts, so that no match reaches from one into the next."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What followed where the last `matched` tokens stood before."""

    matched: int = 0
    token_ids: tuple[int, ...] = ()


class Lookup:
    """A text that grows, and others that may be like it. A question is a pass over all of them in numpy."""

    def __init__(self, others: Iterable[TokenIds], token_ids: Sequence[int], capacity: int) -> None:
        """The text is `token_ids` so far, and never longer than `capacity`."""
        before = [_NO_TOKEN] * _MOST_MATCH
        for other in others:
            before += [*other, _NO_TOKEN]
        self._start = self._stop = len(before)
        self._ids = np.empty(len(before) + capacity, dtype=np.int32)
        self._ids[: self._start] = before
        self.keep_up(token_ids)

    def keep_up(self, token_ids: Sequence[int]) -> None:
        """The text is `token_ids` by now: they begin as they did."""
        new = token_ids[self._stop - self._start :]
        self._ids[self._stop : self._stop + len(new)] = new
        self._stop += len(new)

    def guess(self, count: int) -> Guess:
        """At most `count` tokens that may follow: those behind the longest match, of equally long ones the latest."""
        place, matched = self._match()
        if matched < LEAST_MATCH:
            return Guess()
        period = self._stop - 1 - place
        following = self._ids[place + 1 + np.arange(count) % period]  # what repeats itself may go on repeating itself
        ends = np.flatnonzero(following == _NO_TOKEN)
        return Guess(matched, tuple(following[: ends[0] if len(ends) else count].tolist()))

    def _match(self) -> tuple[int, int]:
        """Where the longest match ends, and how long it is."""
        ids, last = self._ids, self._stop - 1
        places = np.flatnonzero(ids[:last] == ids[last])[-_MOST_PLACES:]
        if not len(places):
            return 0, 0
        back = np.arange(1, min(_MOST_MATCH, self._stop - self._start))
        alike = np.logical_and.accumulate(ids[places[:, None] - back] == ids[last - back], axis=1)
        lengths = 1 + alike.sum(axis=1)
        best = int(np.flatnonzero(lengths == lengths.max())[-1])
        return int(places[best]), int(lengths[best])
