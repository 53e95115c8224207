"""Copies saved state into faster tiers before it is needed, off everybody's path."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Protocol

from ..engine_api.report import Located
from ..threads import yield_to_others
from .keys import BlockKey
from .match import PrefixMatch
from .miss import BlockMiss
from .prefix_cache import PrefixCache
from .reader import Piece
from .tiers.guard import GuardedTier
from .tiers.tier import Block

MAX_WAITING = 16

_log = logging.getLogger(__name__)
_Prefix = tuple[str, tuple[int, ...]]


class PrefetchObserver(Protocol):
    """Who counts what was prefetched, and what nobody had time for."""

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
                self._prefetch(prefix)
            except Exception as error:
                _log.exception("a prefetch failed; the state is where it was")
                self._fail(prefix, error)
            finally:
                with self._lock:
                    self._pending.pop(prefix, None)

    def _prefetch(self, prefix: _Prefix) -> None:
        tenant, token_ids = prefix
        match = self._cache.match_everywhere(tenant, token_ids)
        held = self._held(match)
        self._observer.prefetch_asked(held)
        self._pending[prefix].set_result(held)
        self._last_rest = time.monotonic()
        for name, num_tokens in self._copy(match, token_ids).items():
            self._observer.prefetched(name, num_tokens)

    def _held(self, match: PrefixMatch) -> Located:
        tokens = {tier.name: 0 for tier in self._cache.tiers} | match.tokens_by_tier
        is_elsewhere = any(self._cache.tiers.faster_than(tier) for tier in match.tiers)
        return Located("started" if is_elsewhere else "warm" if match.spans else "nothing_saved", tokens)

    def _copy(self, match: PrefixMatch, token_ids: Sequence[int]) -> Counter[str]:
        """The tokens that only slower tiers held, by where they came from. Waits for a network where the match does.

        Checked as a restore checks it. The chain's head goes in last, so that it is the last to be evicted.
        """
        copied: Counter[str] = Counter()
        for tier, spans in reversed(list(self._at_most_half(match).runs())):
            for piece in reversed(self._cache.reader.pieces(spans) if self._cache.tiers.faster_than(tier) else []):
                if not self._rest():
                    return copied
                prove = partial(self._proved, tier, piece, token_ids)
                keys = self._cache.tiers.prefetch(tier, [span.key for span in piece], prove)
                copied[tier.name] += sum(span.num_tokens for span in piece if span.key in keys)
        return copied

    def _at_most_half(self, match: PrefixMatch) -> PrefixMatch:
        """So much of the fastest tier may be spent on one prefix."""
        limit = next((tier.budget_bytes or 0 for tier in self._cache.tiers), 0) // 2
        count = sum(self._cache.layout.bytes_for(span.stop) <= limit for span in match.spans)
        return PrefixMatch(match.spans[:count], match.tiers[:count])

    def _proved(
        self, tier: GuardedTier, piece: Piece, token_ids: Sequence[int], blocks: Mapping[BlockKey, Block]
    ) -> dict[BlockKey, Block]:
        proved: dict[BlockKey, Block] = {}
        for span in (span for span in piece if span.key in blocks):
            if isinstance(self._cache.reader.payload(tier, span, blocks[span.key], token_ids), BlockMiss):
                self._cache.tiers.discard(tier, span.key)
            else:
                proved[span.key] = blocks[span.key]
        return proved

    def _rest(self) -> bool:
        """As long as the piece before took."""
        self._closing.wait(time.monotonic() - self._last_rest)
        self._last_rest = time.monotonic()
        return not self._closing.is_set()

    def _fail(self, prefix: _Prefix, error: Exception) -> None:
        future = self._pending[prefix]
        if not future.done():
            future.set_exception(error)
