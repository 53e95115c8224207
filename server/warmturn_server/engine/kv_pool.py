"""Memory for K and V: what running sequences reserve of it, and the buffers of finished turns; the tier `resident`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..kvcache import KVBuffer, KVLayout, SpareMemory, round_up
from .prepared import Prepared, concerns

TokenArray = npt.NDArray[np.int64]

_LIKELY = 8
"""So many conversations, those used last, are likely to go on soon."""
_MOST_AHEAD, _SHARE_AHEAD = 256, 4
"""A conversation's next turn should find room for so many tokens, or that part of what there is if it is less."""


@dataclass(frozen=True, slots=True, eq=False)
class IdleBuffer:
    """State of `token_ids`, all of them, in `buffer`. `prepared`: of a prompt that is only expected; not saved."""

    tenant: str
    token_ids: TokenArray
    buffer: KVBuffer
    prepared: Prepared | None = None


@dataclass(slots=True, eq=False)
class Reservation:
    """A part of the budget that a sequence may use, until it is released; an empty one holds nothing."""

    num_bytes: int = 0

    def release(self) -> None:
        """Give it back; harmless when that was done before."""
        self.num_bytes = 0


class KVPool:
    """Reservations of running sequences, and idle buffers by last use within what the budget leaves beside them.

    Belongs to the engine's thread; `reserved_bytes`, `idle_bytes` and `len` may be asked from any.
    """

    def __init__(self, layout: KVLayout, device: torch.device, budget_bytes: int, spare_bytes: int = 0) -> None:
        """`spare_bytes`: of the memory that is asked for ahead, for the next restore."""
        self.budget_bytes = budget_bytes
        self._spare = SpareMemory(spare_bytes if device.type == "cpu" else 0)
        self._layout = layout
        self._device = device
        self._reservations: list[Reservation] = []
        self._idle: OrderedDict[int, IdleBuffer] = OrderedDict()

    @property
    def reserved_bytes(self) -> int:
        return sum(reservation.num_bytes for reservation in list(self._reservations))

    @property
    def idle_bytes(self) -> int:
        return sum(idle.buffer.num_bytes for idle in list(self._idle.values()))

    @property
    def has_spare(self) -> bool:
        """Whether the next large buffer will find memory that the system has given already."""
        return self._spare.is_ready

    @property
    def max_tokens(self) -> int:
        """The longest sequence that the budget allows."""
        by_memory = self.budget_bytes // self._layout.bytes_for(1)
        return by_memory - by_memory % round_up(1)

    def bytes_for(self, num_tokens: int) -> int:
        """What a buffer for so many tokens takes."""
        return self._layout.bytes_for(round_up(num_tokens))

    def buffer(self) -> KVBuffer:
        """An empty one for a new sequence; what it may grow to is reserved apart."""
        return KVBuffer(self._layout, self._device, spare=self._spare)

    def fits(self, num_bytes: int) -> bool:
        """Whether so much can be reserved without dropping anything."""
        return self.reserved_bytes + self.idle_bytes + self._spare.held_bytes + num_bytes <= self.budget_bytes

    def reserve(
        self, num_bytes: int, keep: IdleBuffer | None = None, takes: IdleBuffer | None = None
    ) -> Reservation | None:
        """Take so much from the budget, dropping what was used longest ago but not `keep`; None if that is not enough.

        `takes` is the idle buffer that is to become the sequence's own: its bytes are part of `num_bytes`.
        """
        if not self.make_room(num_bytes - (takes.buffer.num_bytes if takes else 0), keep):
            return None
        reservation = Reservation(num_bytes)
        self._reservations = [*(held for held in self._reservations if held.num_bytes), reservation]
        return reservation

    def __len__(self) -> int:
        return len(self._idle)

    def keep(self, idle: IdleBuffer) -> None:
        """Keep a finished turn's buffer, and drop older ones that it holds all of."""
        for key, other in list(self._idle.items()):
            common = common_prefix(other.token_ids, idle.token_ids)
            if other.tenant == idle.tenant and common == len(other.token_ids):
                del self._idle[key]
        self._idle[id(idle)] = idle
        self.make_room(0)

    def hold(self, idle: IdleBuffer) -> None:
        """Keep what is prepared, and whatever it was made from: it may never be asked for."""
        self._idle[id(idle)] = idle
        self.make_room(0)

    def prepared(self, tenant: str, follows: str) -> IdleBuffer | None:
        """What is prepared to follow on this."""
        key = tenant, follows
        return next((idle for idle in self._idle.values() if idle.prepared and idle.prepared.request.key == key), None)

    @property
    def all_prepared(self) -> list[Prepared]:
        return [idle.prepared for idle in self._idle.values() if idle.prepared]

    def drop_prepared(self, tenant: str, follows: str) -> None:
        if idle := self.prepared(tenant, follows):
            del self._idle[id(idle)]

    def leaves_first(self, tenant: str, token_ids: Sequence[int]) -> None:
        """No prompt is expected to go on from state of all of these: its buffer is the next to leave."""
        ids = np.asarray(token_ids, dtype=np.int64)
        for key, idle in list(self._idle.items()):
            if idle.tenant == tenant and not idle.prepared and common_prefix(idle.token_ids, ids) >= len(ids) - 1 > 0:
                self._idle.move_to_end(key, last=False)

    def best(self, tenant: str, token_ids: TokenArray) -> tuple[IdleBuffer | None, int]:
        """The idle buffer that shares the longest prefix with `token_ids`, and how long it is.

        Among equals the shortest: one that is nothing but the prefix can be gone on with instead of copied.
        """
        candidates = [
            (common, -len(idle.token_ids), key)
            for key, idle in self._idle.items()
            if idle.tenant == tenant and (common := common_prefix(idle.token_ids, token_ids))
        ]
        if not candidates:
            return None, 0
        longest, _, key = max(candidates)
        return self._idle[key], longest

    def used(self, idle: IdleBuffer) -> None:
        """It was of use: it is the last to leave."""
        self._idle.move_to_end(id(idle))

    def take(self, idle: IdleBuffer) -> KVBuffer:
        """Give a buffer away to the sequence that goes on with it."""
        return self._idle.pop(id(idle)).buffer

    def make_room(self, num_bytes: int, keep: IdleBuffer | None = None) -> bool:
        """Drop the least recently used until `num_bytes` more can be reserved; False if that is not enough."""
        if not self.fits(num_bytes):
            self._spare.drop()
        for key, idle in list(self._idle.items()):
            if self.fits(num_bytes):
                break
            if idle is not keep:
                del self._idle[key]
        return self.fits(num_bytes)

    def make_room_ahead(self) -> bool:
        """Let one buffer grow before its next turn needs it, the last used first; False if none has to or may.

        Growing copies all of it, which would be part of that turn's time to first token. Nothing is dropped for it.
        Those that were not used of late give back what they have beyond their tokens. When that is done, memory is
        asked for that the next large buffer takes.
        """
        for place, idle in enumerate(reversed(self._idle.values())):
            buffer = idle.buffer
            if place >= _LIKELY:
                if buffer.give_back():
                    return True
                continue
            ahead = min(_MOST_AHEAD, buffer.length // _SHARE_AHEAD)
            if buffer.capacity - buffer.length < ahead // 2:
                wanted = round_up(buffer.length + ahead)
                if not self.fits(self._layout.bytes_for(wanted) - buffer.num_bytes):
                    return False
                buffer.reserve(wanted, limit=wanted)
                return True
        if not self._spare.held_bytes and self.fits(self._spare.num_bytes):
            self._spare.prepare()
        return False

    def forget(self, tenant: str, token_ids: Sequence[int], keep_tokens: int = 0) -> None:
        """Drop every buffer of this tenant that holds a beginning of these tokens, or goes on from them.

        One that holds only some of the first `keep_tokens` stays. What is prepared goes with the turn that it follows.
        """
        ids = np.asarray(token_ids, dtype=np.int64)
        for key, idle in list(self._idle.items()):
            shorter = min(len(idle.token_ids), len(ids))
            is_line = common_prefix(idle.token_ids, ids) == shorter > keep_tokens
            follows = idle.prepared and concerns(idle.prepared.request, token_ids, keep_tokens)
            if idle.tenant == tenant and (is_line or follows):
                del self._idle[key]

    def drop_where(self, tenant: str, is_meant: Callable[[Sequence[int]], bool]) -> None:
        """Drop every buffer of this tenant whose tokens are meant."""
        for key, idle in list(self._idle.items()):
            chains = [idle.token_ids.tolist(), *([idle.prepared.request.origin] if idle.prepared else [])]
            if idle.tenant == tenant and any(is_meant(chain) for chain in chains):
                del self._idle[key]

    def drop_related(self, tenant: str, token_ids: Sequence[int]) -> list[TokenArray]:
        """Drop every buffer of this tenant that begins as these tokens do; returns what they held."""
        ids = np.asarray(token_ids, dtype=np.int64)
        related = [
            (key, idle.token_ids)
            for key, idle in self._idle.items()
            if idle.tenant == tenant and common_prefix(idle.token_ids, ids)
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
