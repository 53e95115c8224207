"""A sealer that is good for nothing but tests."""

import hashlib

import numpy as np

from warmturn_server.kvcache import Block, BlockKey, CorruptBlock

_TAG_BYTES = 16


class XorSealer:
    """Turns some bits of every byte over, and adds a tag of 16 bytes that only the same pad and key give."""

    overhead_bytes = _TAG_BYTES

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def seal(self, key: BlockKey, block: Block) -> Block:
        return self._turned(block) + self._tag(key, block)

    def open(self, key: BlockKey, sealed: memoryview) -> memoryview:
        block = self._turned(sealed[:-_TAG_BYTES])
        if sealed[-_TAG_BYTES:] != self._tag(key, block):
            raise CorruptBlock("sealed otherwise")
        return memoryview(block)

    def _turned(self, block: Block) -> bytes:
        return (np.frombuffer(block, dtype=np.uint8) ^ np.uint8(self._pad)).tobytes()

    def _tag(self, key: BlockKey, block: Block) -> bytes:
        return hashlib.blake2b(block, key=bytes([self._pad]) + key, digest_size=_TAG_BYTES).digest()
