"""Room on the disk of the data folder: a part of it is the log's alone, and saved state gives way for that."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

GiveWay = Callable[[int], object]
"""Drops saved state of so many bytes, or all that there is."""


HELD_BYTES: Final = 2**20


class Room:
    """What is free where `folder` is. State takes nothing of the last `reserve_bytes` of it.

    A file there holds a little room besides, whoever fills the disk: to delete something takes some at first.
    """

    def __init__(self, folder: Path, reserve_bytes: int = 0, give_way: GiveWay = lambda _: None) -> None:
        self.reserve_bytes = reserve_bytes
        self.give_way = give_way
        """Who holds the state, from when on somebody does."""
        self._folder = folder
        self._held = folder / "room-to-delete"

    @property
    def free_bytes(self) -> int:
        """Without a limit where it cannot be known: then writing itself will tell."""
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return sys.maxsize
        return found.f_bavail * found.f_frsize

    def lacking_bytes(self, num_bytes: int) -> int:
        """How much has to be freed before so much state may be written."""
        return max(self.reserve_bytes + num_bytes - self.free_bytes, 0)

    def make(self, num_bytes: int) -> bool:
        """Have so much free for the log, and its reserve if that can be had; whether there is that much."""
        lacking = max(num_bytes, self.reserve_bytes) - self.free_bytes
        if lacking > 0:
            self.give_way(lacking)
        return lacking <= 0 or self.free_bytes >= num_bytes

    def hold(self) -> None:
        """Take the room for deletions, if there is more than enough, and unless it is taken already."""
        if not self._held.exists() and self.free_bytes >= 8 * HELD_BYTES:
            with contextlib.suppress(OSError):
                descriptor = os.open(self._held, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
                try:
                    os.posix_fallocate(descriptor, 0, HELD_BYTES)
                finally:
                    os.close(descriptor)

    def let_go(self) -> None:
        """Use it: a deletion found nothing free."""
        self._held.unlink(missing_ok=True)
