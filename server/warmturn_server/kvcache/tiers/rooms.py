"""Memory that was written to before, for blocks that are read and soon let go of."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

_MOST_KEPT: Final = 8


class Rooms:
    """The system gives new memory page by page, which takes longer than reading a block into it.

    Safe to use from several threads. Kept are a few rooms, all as large as the block that was read last.
    """

    def __init__(self) -> None:
        self._free: deque[npt.NDArray[np.uint8]] = deque(maxlen=_MOST_KEPT)

    def take(self, num_bytes: int) -> memoryview:
        """So many bytes, whatever was in them; they come back when nobody holds this, or a part of it, any more."""
        room = self._kept(num_bytes)
        lent = room[:]
        weakref.finalize(lent, self._free.append, room).atexit = False
        return lent.data

    def _kept(self, num_bytes: int) -> npt.NDArray[np.uint8]:
        try:
            room = self._free.pop()
        except IndexError:
            return np.empty(num_bytes, dtype=np.uint8)
        return room if len(room) == num_bytes else np.empty(num_bytes, dtype=np.uint8)
