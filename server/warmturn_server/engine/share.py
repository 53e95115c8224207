"""What of a sequence one step computes."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine_api.request import TokenIds
from .model.executor import Work
from .sequence import Sequence


@dataclass(frozen=True, slots=True)
class Share:
    """A sequence's share of a step: `count` tokens from position `start` on; the hook wants to see `rows` of them.

    `drafts` are computed behind them on trial; there are none beside rows that the hook wants.
    """

    sequence: Sequence
    start: int
    count: int
    rows: range
    drafts: TokenIds = ()

    @property
    def num_tokens(self) -> int:
        return self.count + len(self.drafts)

    @property
    def is_last(self) -> bool:
        """Whether the next token is chosen from it."""
        return self.start + self.count == len(self.sequence.token_ids)

    @property
    def chosen_rows(self) -> range:
        """Rows that tokens may be chosen from, the last ones."""
        return range(self.count - 1, self.num_tokens) if self.is_last else range(0)

    @property
    def num_kept(self) -> int:
        """Once the step is over: tokens that are not refused drafts."""
        return len(self.sequence.token_ids) - self.start - 1 if self.drafts else self.count

    @property
    def more_rows(self) -> range:
        """Those of `rows` that the model gives only because they are asked for."""
        return range(self.rows.start, min(self.rows.stop, self.count - self.is_last))

    @property
    def work(self) -> Work:
        sequence = self.sequence
        token_ids = [*sequence.pending(self.count), *self.drafts]
        rows = range(self.count - 1, self.num_tokens - 1) if self.drafts else self.more_rows
        return Work(sequence.kv, token_ids, self.is_last, sequence.queries, rows)
