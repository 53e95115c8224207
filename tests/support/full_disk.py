"""The disk of this process, full from some write on, for SQLite and for files of state alike.

SQLite's own system calls are exchanged (`xSetSystemCall`, which it has for such tests), and Python's. That takes
neither root nor another file system.
"""

import _sqlite3
import ctypes
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal
from unittest.mock import patch

import pytest

Extent = Literal["once", "from then on"]
_WRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
)
_SET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_GET = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_CALLS: Final = (b"pwrite64", b"pwrite")


class FullDisk:
    """`fill(7)`: there is no room from the 7th write on, `fill(7, "once")`: only then; `free()`: there is again."""

    def __init__(self) -> None:
        self.num_writes = 0
        """Since it was last filled or freed; refused ones too."""
        self.num_refused = 0
        self._first: int | None = None
        self._extent: Extent = "from then on"

    def fill(self, first: int, extent: Extent = "from then on") -> None:
        self.num_writes = self.num_refused = 0
        self._first, self._extent = first, extent

    def free(self) -> None:
        self.num_writes, self._first = 0, None

    def is_full(self) -> bool:
        """To be asked at each write."""
        self.num_writes += 1
        if self._first is None or self.num_writes < self._first:
            return False
        full = self._extent == "from then on" or self.num_writes == self._first
        self.num_refused += full
        return full

    def refuse(self) -> None:
        if self.is_full():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def full_disk() -> Iterator[FullDisk]:
    """Not full at first. Skips where this Python has a SQLite of its own that does not show its functions."""
    disk = FullDisk()
    with _sqlite_on(disk), _python_on(disk):
        yield disk


@contextmanager
def _sqlite_on(disk: FullDisk) -> Iterator[None]:
    vfs, set_call, get_call = _system_calls()
    before = {name: found for name in _CALLS if (found := get_call(vfs, name))}
    refusing = {name: _refusing(disk, call) for name, call in before.items()}
    for name, call in refusing.items():
        set_call(vfs, name, ctypes.cast(call, ctypes.c_void_p))
    try:
        yield
    finally:
        for name, found in before.items():
            set_call(vfs, name, found)


def _system_calls() -> tuple[int, Callable[..., int], Callable[..., int | None]]:
    """The file system of SQLite, and its last three functions but one: to set and to get a system call."""
    try:
        find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
    except (AttributeError, OSError) as error:
        pytest.skip(f"SQLite cannot be reached in this Python: {error}")
    find.restype = ctypes.c_void_p
    vfs: int = find(None)
    pointers = ctypes.cast(vfs, ctypes.POINTER(ctypes.c_void_p))
    head = 5  # three numbers that take two places, then the next one's address, a name, and what the system keeps
    after = head + 13  # open, delete, access, ..., the time in two forms
    return vfs, _SET(pointers[after]), _GET(pointers[after + 1])


def _refusing(disk: FullDisk, call: int) -> Any:
    write = _WRITE(call)

    def written(descriptor: int, content: int, num_bytes: int, offset: int) -> int:
        if disk.is_full():
            ctypes.set_errno(errno.ENOSPC)
            return -1
        return int(write(descriptor, content, num_bytes, offset))

    return _WRITE(written)


@contextmanager
def _python_on(disk: FullDisk) -> Iterator[None]:
    opened, opened_as, made, placed = os.open, os.fdopen, os.mkdir, os.pwrite

    class File(io.FileIO):
        def write(self, content: Any) -> int:
            disk.refuse()
            return super().write(content)

    def open_file(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            disk.refuse()
        return opened(path, flags, *rest, **options)

    def make_folder(*arguments: Any, **options: Any) -> None:
        disk.refuse()
        made(*arguments, **options)

    def place(*arguments: Any) -> int:
        disk.refuse()
        return placed(*arguments)

    def open_descriptor(descriptor: int, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
        is_raw = buffering == 0 and "w" in mode
        return File(descriptor, mode) if is_raw else opened_as(descriptor, mode, buffering, *rest, **options)

    with (
        patch.object(os, "open", open_file),
        patch.object(os, "mkdir", make_folder),
        patch.object(os, "pwrite", place),
        patch.object(os, "fdopen", open_descriptor),
    ):
        yield
