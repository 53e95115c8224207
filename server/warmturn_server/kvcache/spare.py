"""Memory that the system has given already, for the next buffer that is large."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from ..threads import yield_to_others
from .populate import give_back, is_possible, populate

MUCH_BYTES = 16 * 2**20
"""To be given so much new memory takes its first writer longer than writing it."""


class SpareMemory:
    """One piece of `num_bytes`, asked for ahead by a thread of its own; none where that is not much.

    The first large buffer that it is enough for takes it, from any thread, and the rest of it goes back to the system.
    """

    def __init__(self, num_bytes: int) -> None:
        self.num_bytes = num_bytes if num_bytes >= MUCH_BYTES and is_possible() else 0
        self._lock = threading.Lock()
        self._piece: torch.Tensor | None = None
        self._ready = False
        self._thread = ThreadPoolExecutor(1, "warmturn-spare-memory", yield_to_others)

    @property
    def held_bytes(self) -> int:
        """Of the piece that is there or on its way."""
        return 0 if self._piece is None else self.num_bytes

    @property
    def is_ready(self) -> bool:
        return self._piece is not None and self._ready

    def prepare(self) -> None:
        """Have a piece made, unless there is one."""
        with self._lock:
            if self.num_bytes and self._piece is None:
                self._piece, self._ready = torch.empty(self.num_bytes, dtype=torch.uint8), False
                self._thread.submit(self._populate, self._piece)

    def take(self, num_bytes: int) -> torch.Tensor | None:
        """`[num_bytes]`, uint8; None where there is no piece for so much, or where it is not much."""
        with self._lock:
            piece = self._piece
            if piece is None or not self._ready or not MUCH_BYTES <= num_bytes <= self.num_bytes:
                return None
            self._piece = None
        self._thread.submit(give_back, piece[num_bytes:])
        return piece[:num_bytes]

    def drop(self) -> None:
        """Somebody needs the memory for something else."""
        with self._lock:
            self._piece = None

    def _populate(self, piece: torch.Tensor) -> None:
        populate(piece)
        with self._lock:
            self._ready = self._ready or piece is self._piece
