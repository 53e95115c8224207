"""A tier that fails is left alone for a while, and the server goes on without it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from .keys import BlockKey
from .tier import Block, Tier, TierUnavailable

PAUSE_SECONDS = 10.0

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class TierObserver(Protocol):
    """Who counts a tier's failures."""

    def tier_failed(self, tier: str) -> None: ...


class GuardedTier:
    """Passes calls on to a tier; once it fails, answers for it as if it were empty until the pause is over.

    The one place where a tier's failure is turned into a miss.
    """

    def __init__(self, tier: Tier, observer: TierObserver, pause_seconds: float = PAUSE_SECONDS) -> None:
        self.name = tier.name
        self._tier = tier
        self._observer = observer
        self._pause_seconds = pause_seconds
        self._off_until = 0.0

    @property
    def available(self) -> bool:
        return time.monotonic() >= self._off_until

    def contains(self, keys: Sequence[BlockKey]) -> list[bool]:
        return self._try(lambda: self._tier.contains(keys), [False] * len(keys))

    def get_many(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Block]:
        nothing: dict[BlockKey, Block] = {}
        return self._try(lambda: self._tier.get_many(keys), nothing)

    def put_many(self, blocks: Mapping[BlockKey, Block]) -> None:
        self._try(lambda: self._tier.put_many(blocks), None)

    def remove_many(self, keys: Collection[BlockKey]) -> None:
        self._try(lambda: self._tier.remove_many(keys), None)

    def evicted(self, key: BlockKey) -> bool:
        return self._tier.evicted(key)

    @property
    def num_bytes(self) -> int:
        return self._tier.num_bytes

    @property
    def num_blocks(self) -> int:
        return self._tier.num_blocks

    @property
    def budget_bytes(self) -> int:
        return self._tier.budget_bytes

    def _try(self, call: Callable[[], _T], otherwise: _T) -> _T:
        if not self.available:
            return otherwise
        try:
            return call()
        except TierUnavailable as error:
            self._off_until = time.monotonic() + self._pause_seconds
            self._observer.tier_failed(self.name)
            _log.warning("tier %s is off for %.0f s: %s", self.name, self._pause_seconds, error)
            return otherwise
