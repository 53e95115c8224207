"""Saves finished turns in the background, off the reply's path."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from .buffer import KVSnapshot
from .prefix_cache import PrefixCache
from .priority import yield_to_others

MAX_WAITING = 64

_log = logging.getLogger(__name__)


class SaveObserver(Protocol):
    """Who counts what was saved and what had to be dropped."""

    def state_saved(self, num_bytes: int) -> None: ...

    def save_dropped(self) -> None: ...


class Saver:
    """One thread that writes to the tiers, yielding the processor to the model.

    When it falls behind by `MAX_WAITING` turns the newest is dropped and counted: state is disposable, memory is not.
    """

    def __init__(self, cache: PrefixCache, observer: SaveObserver) -> None:
        self._cache = cache
        self._observer = observer
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="warmturn-saver", daemon=True)
        self._thread.start()

    def save(self, tenant: str, token_ids: Sequence[int], snapshot: KVSnapshot) -> None:
        """Queue a sequence's state; returns at once."""
        if self._jobs.qsize() >= MAX_WAITING:
            self._observer.save_dropped()
        else:
            self._jobs.put(partial(self._save, tenant, token_ids, snapshot))

    def forget(self, tenant: str, token_ids: Sequence[int], keep_tokens: int, done: Callable[[], None]) -> None:
        """Remove a sequence's blocks from every tier, after whatever is still queued for it was written."""
        self._jobs.put(partial(self._forget, tenant, token_ids, keep_tokens, done))

    def flush(self) -> None:
        """Wait until everything queued so far is written."""
        self._jobs.join()

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Write what is queued, for at most this long, then stop."""
        self._jobs.put(None)
        self._thread.join(timeout_seconds)
        self._abandoned.set()

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

    def _save(self, tenant: str, token_ids: Sequence[int], snapshot: KVSnapshot) -> None:
        self._observer.state_saved(self._cache.save(tenant, token_ids, snapshot, self._keep_on))

    def _forget(self, tenant: str, token_ids: Sequence[int], keep_tokens: int, done: Callable[[], None]) -> None:
        try:
            self._cache.forget(tenant, token_ids, keep_tokens)
        finally:
            done()

    def _keep_on(self) -> bool:
        return not self._abandoned.is_set()
