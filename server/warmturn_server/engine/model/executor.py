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
    @property
    def kind(self) -> str:
        """What turns say that it computed."""
        ...

    def takes(self, step: Sequence[Work]) -> bool:
        """Whether it can compute this step; one that cannot collect queries, say, leaves those that want some."""
        ...

    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        """Append each item's tokens to its buffer; logits `[rows wanted, vocabulary]` in float32, item by item.

        They are there when it returns, on a GPU too: whoever takes the time takes that of the work.
        """
        ...


class WithFallback:
    """`preferred` for the steps that it takes, `fallback`, which takes all of them, for the others."""

    def __init__(self, preferred: Executor, fallback: Executor) -> None:
        self.preferred, self.fallback = preferred, fallback
        self._latest = preferred

    @property
    def kind(self) -> str:
        """Who computed the latest step."""
        return self._latest.kind

    def takes(self, step: Sequence[Work]) -> bool:
        return self.fallback.takes(step)

    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        self._latest = self.preferred if self.preferred.takes(step) else self.fallback
        return self._latest.forward(step)


def all_of(executor: Executor) -> list[Executor]:
    """Those that it may leave a step to, the slowest first, and itself."""
    if isinstance(executor, WithFallback):
        return [*all_of(executor.fallback), executor.preferred]
    return [executor]
