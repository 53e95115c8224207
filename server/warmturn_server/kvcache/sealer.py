"""What lies between blocks and every tier: no tier, on this machine or beyond it, is given a block past the sealer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .codec import BlockCodec
from .keys import BlockKey, BlockSpan
from .state import StateSnapshot
from .tiers.tier import Block


class BlockSealer(Protocol):
    """Makes of a block what a tier may hold. Safe to use from several threads.

    A tier compresses what it is given. One that looks into blocks for that (`int8`) goes only with a sealer that
    leaves them readable.
    """

    overhead_bytes: int
    """How much longer a block becomes."""

    def seal(self, key: BlockKey, block: Block) -> Block: ...

    def open(self, key: BlockKey, sealed: memoryview) -> memoryview:
        """The block; raises `CorruptBlock` unless exactly this was sealed under this key."""
        ...


class NoSealer:
    """Leaves blocks as they are."""

    overhead_bytes = 0

    def seal(self, key: BlockKey, block: Block) -> Block:
        del key
        return block

    def open(self, key: BlockKey, sealed: memoryview) -> memoryview:
        del key
        return sealed


class SealedCodec:
    """Writes and reads what tiers hold: the blocks of one model, sealed."""

    def __init__(self, codec: BlockCodec, sealer: BlockSealer) -> None:
        self.fingerprint = codec.fingerprint
        self.layout = codec.layout
        self._codec = codec
        self._sealer = sealer

    def num_bytes(self, num_tokens: int) -> int:
        """Of a sealed block of so many tokens."""
        return self._codec.num_bytes(num_tokens) + self._sealer.overhead_bytes

    def encode(self, span: BlockSpan, token_ids: Sequence[int], snapshot: StateSnapshot) -> Block:
        """The bytes for the tiers; `token_ids` are those of the block alone."""
        return self._sealer.seal(span.key, self._codec.encode(span, token_ids, snapshot))

    def decode(self, sealed: memoryview, span: BlockSpan, token_ids: Sequence[int]) -> memoryview:
        """The payload of a block that is proved to be the one asked for, else `CorruptBlock`."""
        return self._codec.decode(self._sealer.open(span.key, sealed), span, token_ids)

    def opened(self, sealed: memoryview, span: BlockSpan, token_ids: Sequence[int]) -> memoryview:
        """The whole block without its seal, proved as by `decode`: for who takes it elsewhere."""
        block = self._sealer.open(span.key, sealed)
        self._codec.decode(block, span, token_ids)
        return block

    def adopted(self, block: memoryview, span: BlockSpan, token_ids: Sequence[int]) -> Block:
        """The bytes for the tiers of a block that came from elsewhere. Raises `CorruptBlock`."""
        return self._sealer.seal(span.key, self._codec.renamed(block, span, token_ids))
