"""The sequences of a step as one row of tokens: what every executor begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .attention import Chunk
from .executor import Work


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens and their positions, whose they are, and the rows `kept` whose logits are wanted."""

    chunks: Sequence[Chunk]
    token_ids: Sequence[int]
    positions: Sequence[int]
    kept: Sequence[int]

    @classmethod
    def of(cls, step: Sequence[Work]) -> Batch:
        """Makes room for the new tokens in each buffer."""
        chunks = list[Chunk]()
        token_ids, positions, kept = list[int](), list[int](), list[int]()
        for work in step:
            start, count = work.buffer.length, len(work.token_ids)
            work.buffer.reserve(start + count)
            chunks.append(Chunk(work.buffer, len(token_ids), start, count, work.queries))
            token_ids.extend(work.token_ids)
            positions.extend(range(start, start + count))
            kept.extend(len(token_ids) - count + row for row in work.rows)
            if work.wants_logits:
                kept.append(len(token_ids) - 1)
        return cls(chunks, token_ids, positions, kept)

    def computed(self) -> None:
        """Every buffer holds its new tokens from now on."""
        for chunk in self.chunks:
            chunk.buffer.length = chunk.start + chunk.num_tokens
