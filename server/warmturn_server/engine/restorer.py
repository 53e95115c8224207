"""Brings saved blocks back into the buffers of admitted sequences, beside the running batch."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from ..kvcache import PrefixCache, Restored
from ..threads import compute_with
from .admission import Plan
from .inbox import Inbox
from .sequence import Sequence, now

_THREADS = 4

_log = logging.getLogger(__name__)


class RestoreObserver(Protocol):
    """Who counts how long tiers take."""

    def restored(self, tier: str, seconds: float) -> None: ...


class Restorer:
    """A sequence that is `restoring` belongs to one of these threads; by way of the inbox it comes back."""

    def __init__(self, cache: PrefixCache, inbox: Inbox, observer: RestoreObserver) -> None:
        self._cache = cache
        self._inbox = inbox
        self._observer = observer
        self._threads = ThreadPoolExecutor(_THREADS, "warmturn-restorer", compute_with, (1,))
        self._populating = ThreadPoolExecutor(1, "warmturn-populating")

    def start(self, sequence: Sequence, plan: Plan) -> None:
        """From the engine's thread: `sequence.restoring` until what is planned is there, or has failed."""
        sequence.restoring = True
        if plan.most_tokens > sequence.kv.length and sequence.kv.is_much_new_memory:
            self._populating.submit(sequence.kv.populate)
        self._threads.submit(self._restore, sequence, plan)

    def shutdown(self) -> None:
        """Wait for those under way."""
        self._threads.shutdown()
        self._populating.shutdown()

    def _restore(self, sequence: Sequence, plan: Plan) -> None:
        """Nobody else touches the sequence's buffer meanwhile."""
        tenant, ids = sequence.request.tenant, sequence.request.token_ids[: plan.num_tokens]
        restored = Restored()
        try:
            restored = self._cache.restore(plan.match, ids, sequence.kv)
            if plan.deadline is not None:
                remote = self._cache.restore_from_remote(tenant, ids, sequence.kv, plan.deadline)
                restored = restored.followed_by(remote)
        except Exception:
            _log.exception("restoring failed; the rest of the prompt is computed")
        self._inbox.put(partial(self._ended, sequence, restored))

    def _ended(self, sequence: Sequence, restored: Restored) -> None:
        sequence.restoring = False
        sequence.timeline.ready = now()
        prefix = sequence.prefix
        prefix.block_miss = restored.block_miss or prefix.block_miss
        prefix.restore_seconds = restored.expected_seconds or prefix.restore_seconds
        for tier, num_tokens in restored.tokens_by_tier.items():
            prefix.tokens_by_tier[tier] = num_tokens
            self._observer.restored(tier, restored.seconds_by_tier[tier])
