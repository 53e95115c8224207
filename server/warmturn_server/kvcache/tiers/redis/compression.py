"""Ways to make a block smaller for the network. The first two give back every bit; `int8.py` does not."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np
import zstandard

from ...codec import CorruptBlock
from ..tier import Block

_LEVEL = 1
_WEIGHT_OF_NEWEST = 0.1


class Compression(Protocol):
    """Safe to use from several threads. `code` names it in stored values and is never given to another."""

    name: str
    code: int

    def worthwhile(self, wire_bytes_per_second: float | None) -> bool:
        """Whether the time that fewer bytes save is more than unpacking takes; an unknown speed is tried."""
        ...

    def pack(self, block: Block) -> Block: ...

    def unpack(self, body: memoryview, raw_bytes: int) -> Block:
        """The block, of exactly `raw_bytes`; raises `CorruptBlock`, and never allocates more than that."""
        ...


class Plain:
    """The block itself."""

    name = "none"
    code = 0

    def worthwhile(self, wire_bytes_per_second: float | None) -> bool:
        del wire_bytes_per_second
        return True

    def pack(self, block: Block) -> Block:
        return block

    def unpack(self, body: memoryview, raw_bytes: int) -> Block:
        if len(body) != raw_bytes:
            raise CorruptBlock("another length than announced")
        return body


class Zstd:
    """The top byte of every number (sign and exponent: few different values) compressed, the others as they are.

    The low bytes of K and V are noise to any compressor; leaving them out doubles its speed and costs nothing.
    """

    name = "zstd"
    code = 1

    def __init__(self, itemsize: int) -> None:
        self._word = np.dtype(f"<u{itemsize}")
        self._unpack_seconds_per_byte = 0.0
        self._ratio = 0.0

    def worthwhile(self, wire_bytes_per_second: float | None) -> bool:
        if wire_bytes_per_second is None:
            return True
        return (1 - self._ratio) / wire_bytes_per_second > self._unpack_seconds_per_byte

    def pack(self, block: Block) -> Block:
        words, rest = self._split(np.frombuffer(block, dtype=np.uint8))
        shift = 8 * (self._word.itemsize - 1)
        top = zstandard.ZstdCompressor(level=_LEVEL).compress((words >> shift).astype(np.uint8).tobytes())
        low = [(words >> shift).astype(np.uint8).tobytes() for shift in range(0, shift, 8)]
        packed = b"".join([*low, rest.tobytes(), top])
        self._ratio += _WEIGHT_OF_NEWEST * (len(packed) / max(len(block), 1) - self._ratio)
        return packed

    def unpack(self, body: memoryview, raw_bytes: int) -> Block:
        began = time.perf_counter()
        block = self._unpack(body, raw_bytes)
        seconds = (time.perf_counter() - began) / max(raw_bytes, 1)
        self._unpack_seconds_per_byte += _WEIGHT_OF_NEWEST * (seconds - self._unpack_seconds_per_byte)
        return block

    def _unpack(self, body: memoryview, raw_bytes: int) -> Block:
        count, rest_bytes = divmod(raw_bytes, self._word.itemsize)
        plain = count * (self._word.itemsize - 1) + rest_bytes
        if len(body) < plain:
            raise CorruptBlock("fewer bytes than announced")
        block = bytearray(raw_bytes)
        words, rest = self._split(np.frombuffer(block, dtype=np.uint8))
        words[:] = np.frombuffer(_decompress(body[plain:], count), dtype=np.uint8)
        for plane in reversed(range(self._word.itemsize - 1)):
            words <<= 8
            words |= np.frombuffer(body, dtype=np.uint8, count=count, offset=plane * count)
        rest[:] = np.frombuffer(body, dtype=np.uint8, count=rest_bytes, offset=plain - rest_bytes)
        return block

    def _split(self, raw: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> tuple[np.ndarray, np.ndarray]:
        whole = len(raw) - len(raw) % self._word.itemsize
        return raw[:whole].view(self._word), raw[whole:]


def _decompress(frame: memoryview, num_bytes: int) -> bytes:
    """The frame says how much it holds, and zstandard allocates what the frame says: so look first."""
    try:
        if zstandard.frame_content_size(frame) != num_bytes:
            raise CorruptBlock("a compressed part of another length than announced")
        return zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError as error:
        raise CorruptBlock(f"cannot be decompressed: {error}") from error
