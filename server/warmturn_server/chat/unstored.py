"""Turns that were not to be stored, for clients that send everything again: in memory only, and for a while."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .model import TurnId
from .transcript.prefix_digests import TextDigest
from .transcript.records import Packed, RecordPart

MAX_BYTES: Final = 64 * 2**20
_DIGEST_BYTES: Final = 250
"""What a digest and its place among the others take, about."""


@dataclass(frozen=True, slots=True)
class _Kept:
    record: Packed
    chain: tuple[TextDigest, ...]
    until: float

    @property
    def num_bytes(self) -> int:
        return self.record.num_bytes + len(self.chain) * _DIGEST_BYTES


class UnstoredTurns:
    """Their records, whole ones, found by the beginnings of their texts. What was used longest ago goes first."""

    def __init__(
        self, ttl_seconds: float, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """With a `ttl_seconds` of 0 nothing is remembered."""
        self._ttl_seconds = ttl_seconds
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: OrderedDict[TurnId, _Kept] = OrderedDict()
        self._owners: dict[TextDigest, dict[TurnId, None]] = {}
        self._num_bytes = 0
        self._lock = threading.Lock()

    def remember(self, record: RecordPart, chain: Sequence[TextDigest]) -> None:
        """`chain`: the digests of the text's beginnings. Records that it goes on from are let go."""
        if not self._ttl_seconds:
            return
        with self._lock:
            self._drop_expired()
            for turn_id in self._owning(chain):
                if _goes_on_from(record, self._kept[turn_id].record.unpacked()):
                    self._drop(turn_id)
            kept = _Kept(Packed.of(record), tuple(chain), self._clock() + self._ttl_seconds)
            self._kept[record.turn_id] = kept
            self._num_bytes += kept.num_bytes
            for digest in chain:
                self._owners.setdefault(digest, {})[record.turn_id] = None
            while self._num_bytes > self._max_bytes:
                self._drop(next(iter(self._kept)))

    def beginning(self, chain: Sequence[TextDigest], limit: int) -> list[RecordPart]:
        """Those that own the last digest of `chain` that anybody owns, newest first."""
        with self._lock:
            self._drop_expired()
            return [self._kept[turn_id].record.unpacked() for turn_id in self._owning(chain)[:limit]]

    @property
    def remembers(self) -> bool:
        """Whether anything is remembered at all."""
        return self._ttl_seconds > 0

    @property
    def num_turns(self) -> int:
        with self._lock:
            self._drop_expired()
            return len(self._kept)

    def _owning(self, chain: Sequence[TextDigest]) -> list[TurnId]:
        deepest: Iterable[TurnId] = next((self._owners[d] for d in reversed(chain) if d in self._owners), ())
        return [*deepest][::-1]

    def _drop_expired(self) -> None:
        now = self._clock()
        for turn_id in [turn_id for turn_id, kept in self._kept.items() if kept.until <= now]:
            self._drop(turn_id)

    def _drop(self, turn_id: TurnId) -> None:
        kept = self._kept.pop(turn_id)
        self._num_bytes -= kept.num_bytes
        for digest in kept.chain:
            self._owners[digest].pop(turn_id)
            if not self._owners[digest]:
                del self._owners[digest]


def _goes_on_from(record: RecordPart, earlier: RecordPart) -> bool:
    """But for the last id: that one was chosen and never computed."""
    ids = earlier.token_ids[:-1]
    return record.vocabulary == earlier.vocabulary and record.token_ids[: len(ids)] == ids
