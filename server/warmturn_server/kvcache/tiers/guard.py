"""A tier that fails is left alone for a while, and the server goes on without it."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from ..keys import BlockKey
from .tier import Block, Tier, TierFull, TierUnavailable

PAUSE_SECONDS = 10.0
MOST_OWED = 100_000

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class TierObserver(Protocol):
    """Who counts a tier's failures."""

    def tier_failed(self, tier: str) -> None: ...


class GuardedTier:
    """Passes calls on to a tier; once it fails, answers for it as if it were empty until the pause is over.

    With `probe`, which raises `TierUnavailable` while the tier is unwell, it is on again only when that succeeds. It is
    asked once every pause on a thread of its own, so that no turn has to find out. What was to be removed meanwhile is
    removed first of all, before anybody can read it. A tier that is merely full is still read from.

    The one place where a tier's failure is turned into a miss.
    """

    def __init__(
        self,
        tier: Tier,
        observer: TierObserver,
        pause_seconds: float = PAUSE_SECONDS,
        probe: Callable[[], None] | None = None,
    ) -> None:
        self.name = tier.name
        self.medium = tier.medium
        self._tier = tier
        self._observer = observer
        self._pause_seconds = pause_seconds
        self._probe = probe
        self._off_until = 0.0
        self._full_until = 0.0
        self._owed: set[BlockKey] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def available(self) -> bool:
        return time.monotonic() >= self._off_until

    def contains(self, keys: Sequence[BlockKey]) -> list[bool]:
        return self._try(lambda: self._tier.contains(keys), [False] * len(keys))

    def get_many(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Block]:
        nothing: dict[BlockKey, Block] = {}
        return self._try(lambda: self._tier.get_many(keys), nothing)

    def put_many(self, blocks: Mapping[BlockKey, Block]) -> None:
        if self.writable:
            self._try(lambda: self._tier.put_many(blocks), None)

    def remove_many(self, keys: Collection[BlockKey]) -> None:
        if not self._try(lambda: self._remove(keys), False):
            with self._lock:
                self._owed.update(islice(keys, MOST_OWED - len(self._owed)))
            if self.available:  # back since it failed
                self._try(self._remove_owed, None)

    def used(self, keys: Sequence[BlockKey]) -> None:
        self._try(lambda: self._tier.used(keys), None)

    def leave_first(self, keys: Sequence[BlockKey]) -> None:
        self._try(lambda: self._tier.leave_first(keys), None)

    def evicted(self, key: BlockKey) -> bool:
        return self._tier.evicted(key)

    @property
    def writable(self) -> bool:
        return self.available and time.monotonic() >= self._full_until

    @property
    def num_bytes(self) -> int | None:
        return self._tier.num_bytes

    @property
    def num_blocks(self) -> int | None:
        return self._tier.num_blocks

    @property
    def budget_bytes(self) -> int | None:
        return self._tier.budget_bytes

    @property
    def facts(self) -> Mapping[str, object]:
        return self._tier.facts

    def switch_off(self, error: TierUnavailable) -> None:
        """Leave the tier alone from now on, as if a call had failed."""
        with self._lock:
            if not self.available:
                return
            self._off_until = math.inf if self._probe else time.monotonic() + self._pause_seconds
        self._observer.tier_failed(self.name)
        until = "until it answers again" if self._probe else f"for {self._pause_seconds:.0f} s"
        _log.warning("tier %s is off %s: %s", self.name, until, error)
        if self._probe:
            threading.Thread(target=self._await, args=(self._probe,), name=f"warmturn-{self.name}", daemon=True).start()

    def close(self) -> None:
        """Stop asking whether the tier is back, and end it."""
        self._closed.set()
        self._tier.close()

    def _try(self, call: Callable[[], _T], otherwise: _T) -> _T:
        if not self.available:
            return otherwise
        try:
            if self._owed and self._probe is None:  # the pause is over, and nobody asked beforehand
                self._remove_owed()
            return call()
        except TierFull as error:
            self._full_until = time.monotonic() + self._pause_seconds
            self._observer.tier_failed(self.name)
            _log.warning("tier %s takes nothing new for %.0f s: %s", self.name, self._pause_seconds, error)
        except TierUnavailable as error:
            self.switch_off(error)
        return otherwise

    def _remove(self, keys: Collection[BlockKey]) -> bool:
        self._tier.remove_many(keys)
        return True

    def _remove_owed(self) -> None:
        with self._lock:
            owed = tuple(self._owed)
        self._tier.remove_many(owed)
        with self._lock:
            self._owed.difference_update(owed)

    def _await(self, probe: Callable[[], None]) -> None:
        while not self._closed.wait(self._pause_seconds):
            try:
                probe()
                while not self._switched_on():
                    self._remove_owed()
            except TierUnavailable:
                continue
            except Exception:
                _log.exception("asking whether tier %s is back failed", self.name)
                continue
            _log.warning("tier %s is back", self.name)
            return

    def _switched_on(self) -> bool:
        """Not while anything is owed: what comes to be owed after this finds the tier available."""
        with self._lock:
            if not self._owed:
                self._off_until = 0.0
            return not self._owed
