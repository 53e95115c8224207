"""Saves finished turns in the background, off the reply's path."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Protocol

from ..threads import yield_to_others
from .keys import BlockKey
from .prefix_cache import PrefixCache
from .state import StateSnapshot
from .tiers.guard import GuardedTier

MAX_WAITING = 64
MAX_WAITING_REMOTE = 16
"""Each one that waits keeps a sequence's memory, and a network can be slow for long."""

_SHORTEST_INTERVAL_SECONDS = 0.2
_LONGEST_INTERVAL_SECONDS = 60.0

_log = logging.getLogger(__name__)


class SaveObserver(Protocol):
    """Who counts what was saved and what had to be dropped."""

    def state_saved(self, num_bytes: int) -> None: ...

    def save_dropped(self) -> None: ...


class Saver:
    """Writes to the tiers on threads that yield the processor to the model: one for the tiers on this machine, one for
    each over a network, so that a slow network keeps nothing from being saved here.

    A thread that falls behind drops the newest turn, and that is counted: state is disposable, memory is not.
    """

    def __init__(self, cache: PrefixCache, observer: SaveObserver) -> None:
        self._cache = cache
        self._observer = observer
        self._abandoned = threading.Event()
        local = _Lane("warmturn-saver", cache.tiers.local, MAX_WAITING)
        self._lanes = [
            *(_Lane(f"warmturn-saver-{remote.name}", (remote,), MAX_WAITING_REMOTE) for remote in cache.tiers.remote),
            local,
        ]
        self._ended = threading.Event()
        threading.Thread(target=self._remove_passing, name="warmturn-passing", daemon=True).start()

    def save(
        self,
        tenant: str,
        token_ids: Sequence[int],
        snapshot: StateSnapshot,
        *,
        lasting: bool = True,
        promised: bool = False,
    ) -> None:
        """Queue a sequence's state; returns at once. What is not `lasting` may stay for a while only.

        What is `promised` is not dropped on this machine, however much waits.
        """
        moment = self._cache.moment
        for lane in self._lanes:
            if lane.full and not (promised and lane is self._lanes[-1]):
                self._observer.save_dropped()
            else:
                lane.put(partial(self._save, tenant, token_ids, snapshot, lane.tiers, moment, lasting))

    def forget(self, tenant: str, token_ids: Sequence[int], keep_tokens: int, done: Callable[[], None]) -> None:
        """Remove a sequence's blocks from every tier, after whatever is still queued for it was written.

        One lane after the other, the slowest tier first: what is gone there cannot be prefetched again.
        """
        self._everywhere(lambda tiers: self._cache.forget(tenant, token_ids, keep_tokens, tiers), done)

    def forget_blocks(self, keys: Collection[BlockKey], done: Callable[[], None]) -> None:
        """The same for blocks that somebody else named."""
        self._everywhere(lambda tiers: self._cache.forget_blocks(keys, tiers), done)

    def leave_first(self, tenant: str, token_ids: Sequence[int], keep_tokens: int) -> None:
        """What is saved of them beyond `keep_tokens` goes before all else, once it is written; returns at once."""
        self._lanes[-1].put(partial(self._cache.leave_first, tenant, token_ids, keep_tokens))

    def after_saving(self, done: Callable[[], None]) -> None:
        """`done` is called when all that is queued so far is saved on this machine."""
        self._lanes[-1].put(done)

    def after_saving_everywhere(self, done: Callable[[], None]) -> None:
        """Returns at once; `done` is called when everything queued so far is written."""
        self._everywhere(lambda _: None, done)

    def flush(self) -> None:
        """Wait until everything queued so far is written."""
        for lane in self._lanes:
            lane.flush()

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Write what is queued, for at most this long, then stop."""
        self._ended.set()
        deadline = time.monotonic() + timeout_seconds
        for lane in self._lanes:
            lane.close(deadline - time.monotonic())
        self._abandoned.set()

    def _everywhere(self, forget: Callable[[Sequence[GuardedTier]], None], done: Callable[[], None]) -> None:
        for lane in reversed(self._lanes):
            done = partial(lane.put, partial(_then, partial(forget, lane.tiers), done))
        done()

    def _save(
        self,
        tenant: str,
        token_ids: Sequence[int],
        snapshot: StateSnapshot,
        tiers: Sequence[GuardedTier],
        moment: int,
        lasting: bool,
    ) -> None:
        saved = self._cache.save(tenant, token_ids, snapshot, self._keep_on, tiers, moment, lasting)
        self._observer.state_saved(saved)

    def _remove_passing(self) -> None:
        """Now and then, on a thread of its own; each lane then removes what is still due when its turn comes."""
        passing = self._cache.passing
        interval = min(max(passing.ttl_seconds / 10, _SHORTEST_INTERVAL_SECONDS), _LONGEST_INTERVAL_SECONDS)
        while not self._ended.wait(interval):
            if keys := self._cache.due():
                self._everywhere(partial(self._remove_due, keys), partial(self._removed, keys))

    def _remove_due(self, keys: Sequence[BlockKey], tiers: Sequence[GuardedTier]) -> None:
        self._cache.tiers.remove(self._cache.due(keys), tiers)

    def _removed(self, keys: Sequence[BlockKey]) -> None:
        """Those that came to be of use again meanwhile were not."""
        self._cache.passing.removed(self._cache.due(keys))

    def _keep_on(self) -> bool:
        return not self._abandoned.is_set()


class _Lane:
    """A thread, its queue, and the tiers it writes to."""

    def __init__(self, name: str, tiers: Sequence[GuardedTier], max_waiting: int) -> None:
        self.tiers = tiers
        self._max_waiting = max_waiting
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        return self._jobs.qsize() >= self._max_waiting

    def put(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def flush(self) -> None:
        self._jobs.join()

    def close(self, timeout_seconds: float) -> None:
        self._jobs.put(None)
        self._thread.join(max(timeout_seconds, 0))

    def _run(self) -> None:
        yield_to_others()
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                _log.exception("saving state failed; it will be computed again when needed")
            finally:
                del job
                self._jobs.task_done()
        self._jobs.task_done()


def _then(job: Callable[[], None], following: Callable[[], None]) -> None:
    try:
        job()
    finally:
        following()
