"""Brings saved state nearer before it is needed, off everybody's path."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from ..engine_api.report import Located
from ..threads import yield_to_others
from .match import PrefixMatch
from .prefix_cache import PrefixCache

MAX_WAITING = 16

_log = logging.getLogger(__name__)
_Prefix = tuple[str, tuple[int, ...]]


class PrefetchObserver(Protocol):
    """Who counts what was brought nearer, and what nobody had time for."""

    def prefetch_asked(self, held: Located) -> None: ...

    def prefetched(self, tier: str, num_tokens: int) -> None: ...

    def prefetch_dropped(self) -> None: ...


class Prefetcher:
    """One thread of low priority that rests as long as it works, so that turns and saves hardly notice it.

    What is asked for twice is done once; beyond `MAX_WAITING` requests the newest is dropped and counted: a prefetch
    is a hint, and the turn finds its state without it.
    """

    def __init__(self, cache: PrefixCache, observer: PrefetchObserver) -> None:
        self._cache = cache
        self._observer = observer
        self._jobs: queue.Queue[_Prefix | None] = queue.Queue(MAX_WAITING)
        self._pending: dict[_Prefix, Future[Located]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._last_rest = 0.0
        self._thread = threading.Thread(target=self._run, name="warmturn-prefetcher", daemon=True)
        self._thread.start()

    def prefetch(self, tenant: str, token_ids: Sequence[int]) -> Future[Located] | None:
        """Queue a prefix and return at once; the future tells where its state was. None when too many wait."""
        prefix = (tenant, tuple(token_ids))
        with self._lock:
            if prefix in self._pending:
                return self._pending[prefix]
            if self._jobs.full():
                self._observer.prefetch_dropped()
                return None
            self._pending[prefix] = Future()
            self._jobs.put_nowait(prefix)
            return self._pending[prefix]

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Stop after the piece under way."""
        self._closing.set()
        with self._lock:
            if not self._jobs.full():
                self._jobs.put_nowait(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        yield_to_others()
        while (prefix := self._jobs.get()) is not None and not self._closing.is_set():
            try:
                self._warm(prefix)
            except Exception as error:
                _log.exception("bringing state nearer failed; it is where it was")
                self._fail(prefix, error)
            finally:
                with self._lock:
                    self._pending.pop(prefix, None)

    def _warm(self, prefix: _Prefix) -> None:
        tenant, token_ids = prefix
        match = self._cache.match_everywhere(tenant, token_ids)
        held = self._held(match)
        self._observer.prefetch_asked(held)
        self._pending[prefix].set_result(held)
        self._last_rest = time.monotonic()
        for name, num_tokens in self._cache.prefetch(match, token_ids, self._rest).items():
            self._observer.prefetched(name, num_tokens)

    def _held(self, match: PrefixMatch) -> Located:
        tokens = {tier.name: 0 for tier in self._cache.tiers} | match.tokens_by_tier
        is_elsewhere = any(tier is not self._cache.tiers[0] for tier in match.tiers)
        return Located("started" if is_elsewhere else "warm" if match.spans else "nothing_saved", tokens)

    def _rest(self) -> bool:
        """As long as the piece before took."""
        self._closing.wait(time.monotonic() - self._last_rest)
        self._last_rest = time.monotonic()
        return not self._closing.is_set()

    def _fail(self, prefix: _Prefix, error: Exception) -> None:
        future = self._pending[prefix]
        if not future.done():
            future.set_exception(error)
