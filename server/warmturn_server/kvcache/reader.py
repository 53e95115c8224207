"""Brings blocks out of a tier, piece by piece, and proves each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..engine_api.report import MissReason
from .codec import BlockCodec, CorruptBlock, ForeignBlock
from .keys import BlockKey, BlockSpan
from .miss import BlockMiss
from .tiers.guard import GuardedTier
from .tiers.remote import RemoteTier
from .tiers.tier import Block

PIECE_BYTES = 2 * 2**20
"""What is asked of a tier, or given to it, in one go."""
_PIECE_BLOCKS = 16

Piece = Sequence[BlockSpan]


class BlockReader:
    """`remote` has the tiers over a network by name: those are read ahead, and within a time."""

    def __init__(self, codec: BlockCodec, block_size: int, remote: Mapping[str, RemoteTier]) -> None:
        self._codec = codec
        self._remote = remote
        self._at_a_time = min(max(PIECE_BYTES // codec.layout.bytes_for(block_size), 1), _PIECE_BLOCKS)

    def pieces(self, spans: Sequence[BlockSpan]) -> list[Piece]:
        return [spans[first : first + self._at_a_time] for first in range(0, len(spans), self._at_a_time)]

    def read(
        self, tier: GuardedTier, pieces: Sequence[Piece], seconds_left: Callable[[], float]
    ) -> Iterator[dict[BlockKey, Block]]:
        """What the tier has of each piece, in order. Raises `DeadlineExceeded`."""
        keys = [[span.key for span in piece] for piece in pieces]
        remote = self._remote.get(tier.name)
        return (tier.get_many(some) for some in keys) if remote is None else remote.read(keys, seconds_left)

    def payload(
        self, tier: GuardedTier, span: BlockSpan, block: Block, token_ids: Sequence[int]
    ) -> memoryview | BlockMiss:
        """The block's K and V; of one that is not what it should be, why, and the tier forgets it."""
        try:
            return self._codec.decode(memoryview(block), span, token_ids[span.start : span.stop])
        except CorruptBlock as error:
            remote = self._remote.get(tier.name)
            (tier.remove_many if remote is None else remote.remove)([span.key])
            reason = MissReason.FINGERPRINT if isinstance(error, ForeignBlock) else MissReason.CORRUPT
            return BlockMiss(reason, span.key, tier.name)
