"""Brings blocks out of a tier, piece by piece, and proves each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..engine_api.report import MissReason
from .codec import CorruptBlock, ForeignBlock
from .keys import BlockSpan
from .miss import BlockMiss
from .sealer import SealedCodec
from .tiers.guard import GuardedTier
from .tiers.stack import TierStack
from .tiers.tier import Block

PIECE_BYTES = 2 * 2**20
"""What is asked of a tier, or given to it, in one go."""
_PIECE_BLOCKS = 16

Piece = Sequence[BlockSpan]


class BlockReader:
    """Reads the blocks of one model; the tiers over a network are read ahead, and within a time."""

    def __init__(self, codec: SealedCodec, block_size: int, tiers: TierStack) -> None:
        self._codec = codec
        self._tiers = tiers
        self._at_a_time = min(max(PIECE_BYTES // codec.layout.bytes_for(block_size), 1), _PIECE_BLOCKS)

    def pieces(self, spans: Sequence[BlockSpan]) -> list[Piece]:
        return [spans[first : first + self._at_a_time] for first in range(0, len(spans), self._at_a_time)]

    def payloads(
        self,
        tier: GuardedTier,
        spans: Sequence[BlockSpan],
        token_ids: Sequence[int],
        seconds_left: Callable[[], float],
    ) -> Iterator[tuple[BlockSpan, memoryview | BlockMiss | None]]:
        """Each block's `payload`, in order, None for one that the tier lacks; ends after the first that is of no use.

        Raises `DeadlineExceeded`. Pieces that are asked for to the end stay in memory.
        """
        pieces = self.pieces(spans)
        found = self._tiers.read(tier, [[span.key for span in piece] for piece in pieces], seconds_left)
        for piece, blocks in zip(pieces, found, strict=True):
            for span in piece:
                block = blocks.get(span.key)
                payload = None if block is None else self.payload(tier, span, block, token_ids)
                yield span, payload
                if not isinstance(payload, memoryview):
                    return
            self._tiers.keep_in_memory(tier, {span.key: blocks[span.key] for span in piece})

    def payload(
        self, tier: GuardedTier, span: BlockSpan, block: Block, token_ids: Sequence[int]
    ) -> memoryview | BlockMiss:
        """The block's part of the state, or why it is not what it should be: then the tier should `discard` it."""
        try:
            return self._codec.decode(memoryview(block), span, token_ids[span.start : span.stop])
        except CorruptBlock as error:
            reason = MissReason.FINGERPRINT if isinstance(error, ForeignBlock) else MissReason.CORRUPT
            return BlockMiss(reason, span.key, tier.name)
