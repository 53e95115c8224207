"""What of a sequence one step computes."""

from __future__ import annotations

from dataclasses import dataclass

from .model.executor import Work
from .sequence import Sequence


@dataclass(frozen=True, slots=True)
class Share:
    """A sequence's share of a step: `count` tokens from position `start` on; the hook wants to see `rows` of them."""

    sequence: Sequence
    start: int
    count: int
    rows: range

    @property
    def is_last(self) -> bool:
        """Whether the next token is chosen from it."""
        return self.start + self.count == len(self.sequence.token_ids)

    @property
    def more_rows(self) -> range:
        """Those of `rows` that the model gives only because they are asked for."""
        return range(self.rows.start, min(self.rows.stop, self.count - self.is_last))

    @property
    def work(self) -> Work:
        sequence = self.sequence
        return Work(sequence.kv, sequence.pending(self.count), self.is_last, sequence.queries, self.more_rows)
