"""Buffers of finished turns, kept where the model can go on with them at once; the tier `resident`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..kvcache import KVBuffer, round_up

TokenArray = npt.NDArray[np.int64]

_MOST_AHEAD, _SHARE_AHEAD = 256, 4
"""A conversation's next turn should find room for so many tokens, or that part of what there is if it is less."""


@dataclass(frozen=True, slots=True, eq=False)
class IdleBuffer:
    """State of `token_ids`, all of them, in `buffer`."""

    tenant: str
    token_ids: TokenArray
    buffer: KVBuffer


class KVPool:
    """Idle buffers by last use, within what the budget leaves beside the running sequences."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.reserved_bytes = 0
        self._idle: OrderedDict[int, IdleBuffer] = OrderedDict()

    @property
    def idle_bytes(self) -> int:
        """May be asked from any thread, while the engine's changes what is kept."""
        return sum(resident.buffer.num_bytes for resident in list(self._idle.values()))

    def __len__(self) -> int:
        return len(self._idle)

    def keep(self, resident: IdleBuffer) -> None:
        """Keep a finished turn's buffer, and drop older ones that it holds all of."""
        for key, other in list(self._idle.items()):
            common = common_prefix(other.token_ids, resident.token_ids)
            if other.tenant == resident.tenant and common == len(other.token_ids):
                del self._idle[key]
        self._idle[id(resident)] = resident
        self.make_room(0)

    def best(self, tenant: str, token_ids: TokenArray) -> tuple[IdleBuffer | None, int]:
        """The idle buffer that shares the longest prefix with `token_ids`, and how long it is.

        Among equals the shortest: one that is nothing but the prefix can be gone on with instead of copied.
        """
        candidates = [
            (common, -len(resident.token_ids), key)
            for key, resident in self._idle.items()
            if resident.tenant == tenant and (common := common_prefix(resident.token_ids, token_ids))
        ]
        if not candidates:
            return None, 0
        longest, _, key = max(candidates)
        self._idle.move_to_end(key)
        return self._idle[key], longest

    def take(self, resident: IdleBuffer) -> KVBuffer:
        """Give a buffer away to the sequence that goes on with it."""
        return self._idle.pop(id(resident)).buffer

    def make_room(self, num_bytes: int, keep: IdleBuffer | None = None) -> bool:
        """Drop the least recently used until `num_bytes` more can be reserved; False if that is not enough."""
        for key, resident in list(self._idle.items()):
            if self.reserved_bytes + self.idle_bytes + num_bytes <= self.budget_bytes:
                break
            if resident is not keep:
                del self._idle[key]
        return self.reserved_bytes + self.idle_bytes + num_bytes <= self.budget_bytes

    def make_room_ahead(self) -> bool:
        """Let one buffer grow before its next turn needs it, the last used first; False if none has to or may.

        Growing copies all of it, which would be part of that turn's time to first token. Nothing is dropped for it.
        """
        for resident in reversed(self._idle.values()):
            buffer = resident.buffer
            ahead = min(_MOST_AHEAD, buffer.length // _SHARE_AHEAD)
            if buffer.capacity - buffer.length < ahead // 2:
                wanted = round_up(buffer.length + ahead)
                more = (wanted - buffer.capacity) * buffer.layout.bytes_per_token
                if self.reserved_bytes + self.idle_bytes + more > self.budget_bytes:
                    return False
                buffer.reserve(wanted, limit=wanted)
                return True
        return False

    def forget(self, tenant: str, token_ids: Sequence[int], keep_tokens: int = 0) -> None:
        """Drop every buffer of this tenant that holds a beginning of these tokens, or goes on from them.

        One that holds only some of the first `keep_tokens` stays.
        """
        ids = np.asarray(token_ids, dtype=np.int64)
        for key, resident in list(self._idle.items()):
            shorter = min(len(resident.token_ids), len(ids))
            if resident.tenant == tenant and common_prefix(resident.token_ids, ids) == shorter > keep_tokens:
                del self._idle[key]

    def drop_related(self, tenant: str, token_ids: Sequence[int]) -> list[TokenArray]:
        """Drop every buffer of this tenant that begins as these tokens do; returns what they held."""
        ids = np.asarray(token_ids, dtype=np.int64)
        related = [
            (key, resident.token_ids)
            for key, resident in self._idle.items()
            if resident.tenant == tenant and common_prefix(resident.token_ids, ids)
        ]
        for key, _ in related:
            del self._idle[key]
        return [held for _, held in related]

    def clear(self) -> None:
        self._idle.clear()


def common_prefix(first: TokenArray, second: TokenArray) -> int:
    """How many leading ids agree."""
    shorter = min(len(first), len(second))
    different = np.flatnonzero(first[:shorter] != second[:shorter])
    return int(different[0]) if len(different) else shorter
