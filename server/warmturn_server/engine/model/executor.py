"""Who computes a step: a protocol, so that faster executors can stand beside the one that takes any model and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ...kvcache import KVBuffer
from .capture import Queries


@dataclass(slots=True)
class Work:
    """The next `token_ids` of the sequence that owns `buffer`; logits of its last token and of `rows` on request.

    `queries` collects those that it wants.
    """

    buffer: KVBuffer
    token_ids: Sequence[int]
    wants_logits: bool = True
    queries: Queries | None = None
    rows: Sequence[int] = ()


class Executor(Protocol):
    def takes(self, step: Sequence[Work]) -> bool:
        """Whether it can compute this step; one that cannot collect queries, say, leaves those that want some."""
        ...

    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        """Append each item's tokens to its buffer; logits `[rows wanted, vocabulary]` in float32, item by item.

        They are there when it returns, on a GPU too: whoever takes the time takes that of the work.
        """
        ...


@dataclass(frozen=True, slots=True)
class WithFallback:
    """`preferred` for the steps that it takes, `generic`, which takes all of them, for the others."""

    preferred: Executor
    generic: Executor

    def takes(self, step: Sequence[Work]) -> bool:
        return self.generic.takes(step)

    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        return (self.preferred if self.preferred.takes(step) else self.generic).forward(step)
