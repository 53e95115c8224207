"""Brings blocks out of a tier, piece by piece, and proves each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ..engine_api.report import MissReason
from .codec import CorruptBlock, ForeignBlock
from .keys import BlockKey, BlockSpan
from .miss import BlockMiss
from .read_ahead import read_ahead
from .sealer import SealedCodec
from .tiers.guard import GuardedTier
from .tiers.stack import TierStack
from .tiers.tier import Block

PIECE_BYTES = 2 * 2**20
"""What is asked of a tier, or given to it, in one go."""
_PIECE_BLOCKS = 16
_THREADS = 4

Piece = Sequence[BlockSpan]
Payload = memoryview | BlockMiss | None
"""A block's part of the state, or why it is not what it should be; None where the tier lacks it."""
_Proved = list[tuple[BlockSpan, Block | None, Payload]]


class BlockReader:
    """Reads the blocks of one model ahead of who wants them; those over a network within a time."""

    def __init__(self, codec: SealedCodec, block_size: int, tiers: TierStack) -> None:
        self._codec = codec
        self._tiers = tiers
        self._at_a_time = min(max(PIECE_BYTES // codec.layout.bytes_for(block_size), 1), _PIECE_BLOCKS)
        self._threads = ThreadPoolExecutor(_THREADS, "warmturn-reader")

    def close(self) -> None:
        """Nobody wants what is not read yet."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def pieces(self, spans: Sequence[BlockSpan]) -> list[Piece]:
        return [spans[first : first + self._at_a_time] for first in range(0, len(spans), self._at_a_time)]

    def payloads(
        self,
        tier: GuardedTier,
        spans: Sequence[BlockSpan],
        token_ids: Sequence[int],
        seconds_left: Callable[[], float],
    ) -> Iterator[tuple[BlockSpan, Payload]]:
        """Each block's payload, in order; ends after the first that is of no use.

        Raises `DeadlineExceeded`. Pieces that came over a network and are asked for to the end stay in memory. What
        this machine has does not: it is saved there after the turn, when nobody waits for the system to give memory.
        """
        for piece in self._read(tier, self.pieces(spans), token_ids, seconds_left):
            for span, _, payload in piece:
                yield span, payload
                if not isinstance(payload, memoryview):
                    return
            if tier.medium == "network":
                self._tiers.keep_in_memory(tier, {span.key: block for span, block, _ in piece if block is not None})

    def payload(
        self, tier: GuardedTier, span: BlockSpan, block: Block, token_ids: Sequence[int]
    ) -> memoryview | BlockMiss:
        """The block's part of the state, or why it is not what it should be: then the tier should `discard` it."""
        try:
            return self._codec.decode(memoryview(block), span, token_ids[span.start : span.stop])
        except CorruptBlock as error:
            reason = MissReason.FINGERPRINT if isinstance(error, ForeignBlock) else MissReason.CORRUPT
            return BlockMiss(reason, span.key, tier.name)

    def _read(
        self, tier: GuardedTier, pieces: Sequence[Piece], token_ids: Sequence[int], seconds_left: Callable[[], float]
    ) -> Iterator[_Proved]:
        if tier.medium != "network":
            return read_ahead(self._threads, (partial(self._here, tier, piece, token_ids) for piece in pieces))
        found = self._tiers.over_network(tier, [[span.key for span in piece] for piece in pieces], seconds_left)
        return (self._proved(tier, piece, blocks, token_ids) for piece, blocks in zip(pieces, found, strict=True))

    def _here(self, tier: GuardedTier, piece: Piece, token_ids: Sequence[int]) -> _Proved:
        return self._proved(tier, piece, tier.get_many([span.key for span in piece]), token_ids)

    def _proved(
        self, tier: GuardedTier, piece: Piece, blocks: Mapping[BlockKey, Block], token_ids: Sequence[int]
    ) -> _Proved:
        found = ((span, blocks.get(span.key)) for span in piece)
        return [(s, block, None if block is None else self.payload(tier, s, block, token_ids)) for s, block in found]
