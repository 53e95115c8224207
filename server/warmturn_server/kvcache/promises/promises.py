"""What this server promised to keep, within a budget, on the one tier that it bounds itself and finds again."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Protocol, get_args

from ...engine_api.promise import BrokenBecause, Promised
from ...errors import PromiseRefused
from ..keys import BlockKey
from .given import Given
from .ledger import Ledger, Promise
from .limits import Limits

_REMEMBERED: Final = 100_000

_log = logging.getLogger(__name__)


class PromiseObserver(Protocol):
    """Who counts promises, and those that could not be kept."""

    def promise_made(self) -> None: ...

    def promise_refused(self) -> None: ...

    def promise_broken(self, reason: BrokenBecause) -> None: ...


class KeepingTier(Protocol):
    """What keeps promised blocks: a tier on this machine that survives a restart."""

    def contains(self, keys: Sequence[BlockKey]) -> list[bool]: ...

    def pin(self, keys: Iterable[BlockKey]) -> None:
        """These stay, and so will those of them that come later, until they are unpinned."""
        ...

    def unpin(self, keys: Iterable[BlockKey]) -> None: ...

    def has_room(self, num_bytes: int) -> bool:
        """Whether so much more could be written if only what is not pinned makes room."""
        ...


class Promises:
    """Which blocks are to stay, for whom and until when. What is deleted is released; what is lost is counted.

    A promise holds once it is settled, when its state was saved; the ledger has it from then on. Of a name there is
    one: a later one takes the place of an earlier one when it is settled.
    """

    def __init__(
        self,
        tier: KeepingTier,
        ledger: Ledger,
        limits: Limits,
        observer: PromiseObserver,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tier = tier
        self._ledger = ledger
        self._limits = limits
        self._observer = observer
        self._clock = clock
        self._lock = threading.RLock()
        self._broken: OrderedDict[BlockKey, BrokenBecause] = OrderedDict()
        self._num_broken: Counter[BrokenBecause] = Counter()
        self._given = Given(ledger.read(clock()))
        self._take_over()

    def make(self, promise: Promise) -> None:
        """Its blocks stay from now on. Raises `PromiseRefused`."""
        try:
            with self._lock:
                self._expire()
                self._limits.check(promise, self._given, self._tier, self._clock())
                self._given.pending[promise.name] = promise
                self._tier.pin(reversed(promise.until))  # as they are saved: a chain's head is the last to go
        except PromiseRefused:
            self._observer.promise_refused()
            raise

    def settle(self, name: str) -> Promised | None:
        """It was saved, or should have been. None if it is not all there: then nothing is promised any more."""
        with self._lock:
            promise = self._given.pending.pop(name, None)
            if promise is None:
                return None
            if not self._is_here(promise) or not self._write_down(promise):
                self._let_go([promise])
                self._count_broken("not_saved")
                return None
            self._take_from_earlier(promise)
            self._observer.promise_made()
            return self._told(promise)

    def withdraw(self, name: str) -> None:
        """Nobody was told of it, for what it was asked for came to nothing. What is settled stays."""
        with self._lock:
            if promise := self._given.pending.pop(name, None):
                self._let_go([promise])

    def release(self, name: str) -> None:
        """It is not wanted any more."""
        with self._lock:
            self._end([promise for promise in self._given if promise.name == name])

    def release_of(self, owner: str) -> None:
        """Of a conversation that is deleted."""
        with self._lock:
            self._end([promise for promise in self._given if promise.owner == owner])

    def forget(self, keys: Collection[BlockKey]) -> None:
        """Something is deleted: that these stay is promised to nobody any more. What is damaged goes that way too."""
        with self._lock:
            affected = self._given.holding(keys)
            for promise in affected:
                promise.drop(keys)
            self._tier.unpin(keys)
            self._note(affected)
            for key in [key for key in keys if self._broken.get(key) != "corrupt"]:
                self._broken.pop(key, None)

    def lost(self, keys: Collection[BlockKey], reason: BrokenBecause) -> None:
        """Blocks went that were to stay. Saved again they are kept again: the promise goes on."""
        with self._lock:
            for promise in self._given.holding(keys):
                self._broken.update((key, reason) for key in keys if key in promise.until)
                if not promise.is_broken:
                    promise.is_broken = True
                    self._count_broken(reason)
            while len(self._broken) > _REMEMBERED:
                self._broken.popitem(last=False)

    def why_broken(self, key: BlockKey | None) -> BrokenBecause | None:
        """Of a block that no tier has any more; None if that it stays was not promised."""
        with self._lock:
            return self._broken.get(key) if key else None

    def told(self, name: str) -> Promised | None:
        """What is promised under that name now."""
        with self._lock:
            self._expire()
            promise = self._given.settled.get(name)
            return self._told(promise) if promise else None

    def is_here_already(self, name: str) -> bool:
        """Whether what is to be settled under that name is saved."""
        with self._lock:
            promise = self._given.pending.get(name)
            return promise is not None and self._is_here(promise)

    def kept(self, keys: Collection[BlockKey]) -> set[BlockKey]:
        """Those of the keys that are to stay now."""
        with self._lock:
            self._expire()
            return set(keys).difference(self._given.unheld(keys))

    def bytes_besides(self, keys: Collection[BlockKey]) -> int:
        """What is to stay now, but for these keys."""
        with self._lock:
            self._expire()
            return sum(size for key, size in self._given.sizes.items() if key not in keys)

    def snapshot(self) -> dict[str, object]:
        """For `/v1/stats`."""
        with self._lock:
            self._expire()
            return {
                "promises": len(self._given.settled),
                "pins": self._given.num_pins,
                "bytes": self._given.num_bytes,
                "budget_bytes": self._limits.budget_bytes,
                "longest_seconds": self._limits.longest_seconds,
                "broken": {reason: self._num_broken[reason] for reason in get_args(BrokenBecause)},
            }

    def _is_here(self, promise: Promise) -> bool:
        return all(self._tier.contains(list(promise.until)))

    def _told(self, promise: Promise) -> Promised:
        return Promised(promise.ends, promise.num_tokens, promise.num_bytes, self._is_here(promise))

    def _take_over(self) -> None:
        """What an earlier process promised. What is not there any more is counted once."""
        keys = list(self._given.sizes)
        self._tier.pin(reversed(keys))
        here = self._tier.contains(keys)
        self.lost([key for key, is_there in zip(keys, here, strict=True) if not is_there], "lost")
        with contextlib.suppress(OSError):
            self._ledger.write_anew(self._given.settled)

    def _write_down(self, promise: Promise) -> bool:
        """Where that fails, a restart would not know of it."""
        former = self._given.settled.get(promise.name)
        settled = {**self._given.settled, promise.name: promise}
        try:
            self._ledger.note([promise], settled)
        except OSError as error:
            _log.warning("a promise cannot be written down, and is not given: %s", error)
            return False
        self._given.settled = settled
        if former:
            self._let_go([former])
        return True

    def _take_from_earlier(self, promise: Promise) -> None:
        """Earlier turns need not keep what this one keeps for longer, or there would be ever more of the same."""
        affected = []
        for other in self._given.earlier_of_its_owner(promise):
            if shared := [key for key, until in other.until.items() if promise.until.get(key, 0.0) >= until]:
                other.drop(shared)
                affected.append(other)
        self._note(affected)

    def _end(self, promises: Sequence[Promise]) -> None:
        self._let_go(promises)
        self._note(promises)

    def _note(self, changed: Sequence[Promise]) -> None:
        """Where that cannot be written, a restart keeps too much, for as long as was promised."""
        settled = [promise for promise in changed if self._given.settled.get(promise.name) is promise]
        self._given.drop_empty()
        with contextlib.suppress(OSError):
            self._ledger.note(settled, self._given.settled)

    def _let_go(self, promises: Iterable[Promise]) -> None:
        for promise in promises:
            keys = list(promise.until)
            promise.drop(keys)
            self._unpin(keys)

    def _unpin(self, keys: Collection[BlockKey]) -> None:
        """What is here at the end was kept after all: if it goes later, that breaks nothing."""
        unheld = self._given.unheld(keys)
        for key, is_here in zip(unheld, self._tier.contains(unheld), strict=True):
            if is_here:
                self._broken.pop(key, None)
        self._tier.unpin(unheld)

    def _expire(self) -> None:
        """Its time ran out: it was kept. The ledger's lines say by themselves until when they count."""
        moment = self._clock()
        for promise in self._given:
            if past := [key for key, until in promise.until.items() if until <= moment]:
                promise.drop(past)
                self._unpin(past)
        self._given.drop_empty()

    def _count_broken(self, reason: BrokenBecause) -> None:
        self._num_broken[reason] += 1
        self._observer.promise_broken(reason)
