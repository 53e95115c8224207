"""Where state is: in the pool while it is used or idle, in the tiers of the cache, and on its way between them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import torch

from ..engine_api.request import ReuseMode, TokenIds
from ..kvcache import BlockKey, KVBuffer, Prefetcher, PrefixCache, Saver
from .kv_pool import IdleBuffer, KVPool
from .sequence import Sequence

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Memory:
    """The places of state as one: what is kept, forgotten or distrusted is so in all of them."""

    pool: KVPool
    cache: PrefixCache
    saver: Saver
    prefetcher: Prefetcher

    def keep(self, sequence: Sequence) -> None:
        """Leave a finished turn's state in the pool, and have it saved; for a while, if the turn is in no log."""
        buffer, request = sequence.kv, sequence.request
        if request.reuse is not ReuseMode.STATE or buffer.length == 0 or request.recomputes_reply:
            return
        if request.keeping.most == 0:
            return
        lasting = request.lasting and not sequence.cancelled
        if not (lasting or self.cache.passing.ttl_seconds):
            return
        if request.keeping.most is not None and request.keeping.most < buffer.length:
            buffer = self._beginning(buffer, request.keeping.most)
        computed, snapshot = sequence.token_ids[: buffer.length], buffer.snapshot()
        shown = [sequence.num_shown] if sequence.num_shown < len(computed) else []  # where the next turn parts from it
        for end in (len(computed), *shown, *(end for end in request.keeping.ends if end < len(computed))):
            promised = request.keeping.promised
            self.saver.save(request.tenant, computed[:end], snapshot, lasting=lasting, promised=promised)
        self.pool.keep(IdleBuffer(request.tenant, np.asarray(computed, dtype=np.int64), buffer))

    def leaves_first(self, tenant: str, token_ids: TokenIds, keep_tokens: int) -> None:
        """No prompt is expected to go on from more than the first `keep_tokens` of these."""
        self.pool.leaves_first(tenant, token_ids)
        self.saver.leave_first(tenant, token_ids, keep_tokens)

    def _beginning(self, buffer: KVBuffer, num_tokens: int) -> KVBuffer:
        """A copy: somebody may still look at the rest, which must not be written over."""
        beginning = self.pool.buffer()
        beginning.copy_prefix(buffer, num_tokens)
        return beginning

    def forget(self, tenant: str, token_ids: TokenIds, keep_tokens: int, done: Callable[[], None]) -> None:
        """Drop what is saved of these tokens beyond `keep_tokens`; `done` is called when every tier is rid of it."""
        self.pool.forget(tenant, token_ids, keep_tokens)
        self.saver.forget(tenant, tuple(token_ids), keep_tokens, done)

    def forget_blocks(self, tenant: str, keys: Collection[BlockKey], done: Callable[[], None]) -> None:
        """Drop these blocks, and what in memory would be saved as one of them."""
        self.pool.drop_where(tenant, lambda token_ids: self.cache.holds_any(tenant, token_ids, keys))
        self.saver.forget_blocks(keys, done)

    def quarantine(self, tenant: str, token_ids: TokenIds) -> int:
        """Use nothing of this state any more, nor of what was computed from it; the number of its blocks."""
        num_blocks = self.cache.quarantine(tenant, token_ids)
        related = self.pool.drop_related(tenant, token_ids)
        for chain in (tuple(token_ids), *(tuple(ids.tolist()) for ids in related)):
            self.saver.forget(tenant, chain, 0, lambda: None)
        return num_blocks

    def gave_way(self, error: Exception) -> bool:
        """Whether the device was short of memory and idle state could go for it; what it holds is saved."""
        if not isinstance(error, torch.OutOfMemoryError) or not len(self.pool):
            return False
        _log.warning("no memory left on the device; idle state goes, lower --kv-memory: %s", error)
        self.pool.clear()
        return True

    def grow_ahead(self) -> bool:
        """Let one idle buffer grow before its next turn needs it; False when none has to or can."""
        try:
            return self.pool.make_room_ahead()
        except RuntimeError as error:  # torch's word for no memory, on a CPU too
            _log.warning("no room ahead of the next turn: %s", error)
            return False

    def close(self) -> None:
        """Write what is not saved yet, and stop."""
        self.prefetcher.close()
        self.saver.close()
        self.cache.close()
