"""Memory that the system has only promised so far, asked for ahead, and given back."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable
from functools import cache

import torch

_POPULATE_WRITE = 23
"""MADV_POPULATE_WRITE, of Linux from 5.14 on: as if each page were written to, and nothing is changed."""
_DONT_NEED = 4
"""MADV_DONTNEED: the pages hold zeros, and take memory again when they are written to."""


def populate(tensor: torch.Tensor) -> None:
    """Have the system give `tensor`, which is contiguous, the memory that it will need; on Linux, elsewhere nothing.

    That takes a page's first writer several times as long as writing it. Other threads may write meanwhile.
    """
    if tensor.device.type == "cpu" and (advise := _madvise()) is not None:
        first = tensor.data_ptr() // mmap.PAGESIZE * mmap.PAGESIZE
        stop = tensor.data_ptr() + tensor.nbytes
        advise(first, stop - first, _POPULATE_WRITE)


def give_back(tensor: torch.Tensor) -> None:
    """Have the system take the whole pages of `tensor`, which is contiguous; what they held is lost."""
    first = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    stop = (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if stop > first and (advise := _madvise()) is not None:
        advise(first, stop - first, _DONT_NEED)


def is_possible() -> bool:
    """Whether memory can be asked for ahead here."""
    return _madvise() is not None


@cache
def _madvise() -> Callable[[int, int, int], int] | None:
    if sys.platform != "linux":
        return None
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return advise
