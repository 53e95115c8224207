"""A tier over the network: asked on threads of its own, so that whoever wants something can stop waiting for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from ..keys import BlockKey
from ..read_ahead import read_ahead
from .guard import GuardedTier
from .tier import Block, TierUnavailable

_THREADS = 6

_T = TypeVar("_T")


class DeadlineExceeded(Exception):
    """There was no answer in the time that it was worth waiting for."""


class RemoteTier:
    """Calls of one tier, each with a limit on waiting. One that is given up ends by itself, on its own connection."""

    def __init__(self, tier: GuardedTier) -> None:
        self.tier = tier
        self._pool = ThreadPoolExecutor(_THREADS, f"warmturn-{tier.name}")

    def contains(self, keys: Sequence[BlockKey], seconds: float) -> list[bool]:
        """Without an answer in time the tier is switched off: the next turn should not wait for it again."""
        if not self.tier.available or seconds <= 0:
            return [False] * len(keys)
        try:
            return _within(seconds, self._pool.submit(self.tier.contains, keys))
        except DeadlineExceeded:
            self.tier.switch_off(TierUnavailable(f"no answer within {1000 * seconds:.0f} ms"))
            return [False] * len(keys)

    def read(
        self, pieces: Sequence[Sequence[BlockKey]], seconds_left: Callable[[], float]
    ) -> Iterator[dict[BlockKey, Block]]:
        """The pieces in order. Raises `DeadlineExceeded`."""
        reads = (partial(self.tier.get_many, piece) for piece in pieces)
        return read_ahead(self._pool, reads, lambda asked: _within(seconds_left(), asked))

    def remove(self, keys: Sequence[BlockKey]) -> None:
        """Have these forgotten, without waiting for it."""
        self._pool.submit(self.tier.remove_many, keys)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.tier.close()


def _within(seconds: float, future: Future[_T]) -> _T:
    try:
        return future.result(None if seconds == math.inf else max(seconds, 0))
    except TimeoutError:
        future.cancel()
        raise DeadlineExceeded from None
