"""A block as bytes: a versioned header, the payload, a checksum over both. Nothing in it is ever executed.

    magic and version   8 bytes   b"WARMKV" and a big-endian 16-bit version
    lengths             16 bytes  layout (32 bits), tokens (32 bits), payload (64 bits), big-endian
    key, fingerprint    32 + 32 bytes
    layout              UTF-8: dtype and shape of every layer
    token ids           64 bits each, little-endian
    zeros               up to the next multiple of 64 bytes
    payload             K and V as `StateSnapshot.read_into` lays them out
    checksum            16 bytes  XXH3-128 of everything before it

The checksum finds accidents, not attackers: whoever can write the cache folder can write the weights too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xxhash

from .fingerprint import FORMAT_VERSION, FingerprintDigest
from .keys import BlockKey, BlockSpan
from .state import StateLayout, StateSnapshot

_FIXED = struct.Struct(">6sHIIQ32s32s")
_MAGIC = b"WARMKV"
_CHECKSUM_BYTES = 16
_KEY = slice(_FIXED.size - 64, _FIXED.size - 32)


class CorruptBlock(Exception):
    """These bytes are not the block they should be; the message says in which respect."""


class ForeignBlock(CorruptBlock):
    """A sound block, of another model, dtype or layout."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a block says of itself."""

    key: bytes
    fingerprint: bytes
    num_tokens: int
    layout_bytes: int
    payload_bytes: int


def read_header(block: memoryview) -> Header:
    """Of a block whose bytes are whole, whoever's it is. Raises `CorruptBlock`; of another format, `ForeignBlock`."""
    if len(block) < _FIXED.size + _CHECKSUM_BYTES:
        raise CorruptBlock("truncated header")
    if xxhash.xxh3_128_digest(block[:-_CHECKSUM_BYTES]) != block[-_CHECKSUM_BYTES:]:
        raise CorruptBlock("checksum does not match")
    magic, version, layout_bytes, num_tokens, payload_bytes, key, fingerprint = _FIXED.unpack_from(block)
    if magic != _MAGIC:
        raise CorruptBlock("not a block")
    if version != FORMAT_VERSION:
        raise ForeignBlock("written by another version")
    return Header(key, fingerprint, num_tokens, layout_bytes, payload_bytes)


class BlockCodec:
    """Writes and reads the blocks of one model."""

    def __init__(self, fingerprint: FingerprintDigest, layout: StateLayout) -> None:
        self.fingerprint = fingerprint
        self.layout = layout
        self._described = layout.describe().encode()

    def num_bytes(self, num_tokens: int) -> int:
        """Of a block of so many tokens."""
        return self._start(num_tokens) + self.layout.bytes_for(num_tokens) + _CHECKSUM_BYTES

    def measure(self, block: memoryview) -> tuple[int, int]:
        """How many tokens a block holds, and where its payload begins; for one whose header says nothing false yet."""
        if len(block) < _FIXED.size:
            raise CorruptBlock("truncated header")
        num_tokens: int = _FIXED.unpack_from(block)[3]
        return num_tokens, self._start(num_tokens)

    def with_checksum(self, block: bytearray) -> bytearray:
        """The block with the checksum that its present contents need."""
        block[-_CHECKSUM_BYTES:] = xxhash.xxh3_128_digest(memoryview(block)[:-_CHECKSUM_BYTES])
        return block

    def _start(self, num_tokens: int) -> int:
        head = _FIXED.size + len(self._described) + num_tokens * 8
        return head + -head % 64

    def encode(self, span: BlockSpan, token_ids: Sequence[int], snapshot: StateSnapshot) -> bytearray:
        """The block's bytes; `token_ids` are those of the block alone."""
        ids = np.asarray(token_ids, dtype="<i8").tobytes()
        payload_bytes = self.layout.bytes_for(span.num_tokens)
        head = _FIXED.pack(
            _MAGIC, FORMAT_VERSION, len(self._described), span.num_tokens, payload_bytes, span.key, self.fingerprint
        )
        start = self._start(span.num_tokens)
        block = bytearray(self.num_bytes(span.num_tokens))
        block[: len(head) + len(self._described) + len(ids)] = head + self._described + ids
        snapshot.read_into(span.start, span.stop, memoryview(block)[start : start + payload_bytes])
        return self.with_checksum(block)

    def decode(self, block: memoryview, span: BlockSpan, token_ids: Sequence[int]) -> memoryview:
        """The payload of a block that is proved to be the one asked for, else `CorruptBlock`."""
        header = read_header(block)
        if header.fingerprint != self.fingerprint:
            raise ForeignBlock("written by another model")
        ids, num_tokens = _FIXED.size + header.layout_bytes, header.num_tokens
        if bytes(block[_FIXED.size : ids]) != self._described:
            raise ForeignBlock("written with another layout")
        if header.key != span.key or num_tokens != span.num_tokens:
            raise CorruptBlock("another block's bytes")
        if bytes(block[ids : ids + num_tokens * 8]) != np.asarray(token_ids, dtype="<i8").tobytes():
            raise CorruptBlock("other token ids under the same key")
        if header.payload_bytes != self.layout.bytes_for(num_tokens) or len(block) != self.num_bytes(num_tokens):
            raise CorruptBlock("payload of another size")
        return block[self._start(num_tokens) : -_CHECKSUM_BYTES]

    def renamed(self, block: memoryview, span: BlockSpan, token_ids: Sequence[int]) -> bytearray:
        """A block of these tokens of this model, under the name that it has here: each tenant has names of its own.

        Raises `CorruptBlock`.
        """
        own = BlockKey(read_header(block).key)
        self.decode(block, replace(span, key=own), token_ids)
        renamed = bytearray(block)
        renamed[_KEY] = span.key
        return self.with_checksum(renamed)
