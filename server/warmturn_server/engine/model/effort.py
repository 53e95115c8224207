"""How much there is to compute in a prefill, before anybody knows how fast a machine is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """So many forward passes over so many tokens in all, which look at so many pairs of token and earlier token."""

    steps: float = 0
    tokens: float = 0
    pairs: float = 0

    @classmethod
    def of(cls, num_tokens: int, context: int, budget: int) -> Effort:
        """To prefill `num_tokens` after `context` others, in steps of at most `budget`."""
        return cls(math.ceil(num_tokens / budget), num_tokens, _pairs(num_tokens, context))

    @classmethod
    def of_step(cls, chunks: Sequence[tuple[int, int]]) -> Effort:
        """One forward pass over chunks of so many tokens after so many."""
        return cls(1, sum(count for count, _ in chunks), sum(_pairs(count, start) for count, start in chunks))

    def __add__(self, other: Effort) -> Effort:
        return Effort(self.steps + other.steps, self.tokens + other.tokens, self.pairs + other.pairs)

    def __sub__(self, other: Effort) -> Effort:
        return Effort(self.steps - other.steps, self.tokens - other.tokens, self.pairs - other.pairs)

    def __bool__(self) -> bool:
        return self.tokens > 0


def _pairs(num_tokens: int, context: int) -> float:
    return num_tokens * (context + num_tokens / 2)
