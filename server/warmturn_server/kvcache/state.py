"""What the cache asks of a model's state; K and V of every token are one kind of it, see `KVBuffer`."""

from __future__ import annotations

from typing import Protocol, Self

import torch


class StateLayout(Protocol):
    """How much a model's state takes, and how its bytes lie."""

    def bytes_for(self, num_tokens: int) -> int:
        """Bytes of the state of so many tokens; not in proportion to them where some layers keep one state for all."""
        ...

    def describe(self) -> str:
        """A text that differs whenever the bytes of a block would mean something else."""
        ...


class StateSnapshot(Protocol):
    """The state of a sequence's first tokens, safe to read from any thread while the sequence goes on."""

    @property
    def device(self) -> torch.device: ...

    def read_into(self, start: int, stop: int, payload: memoryview) -> None:
        """Copy what belongs to tokens `[start, stop)` out, `bytes_for(stop - start)` in all."""
        ...


class SequenceState(Protocol):
    """What one sequence's first `length` tokens left in the model. Written by one thread at a time."""

    length: int

    @property
    def device(self) -> torch.device: ...

    @property
    def num_bytes(self) -> int: ...

    def reserve(self, num_tokens: int, limit: int | None = None) -> None:
        """Make room for `num_tokens` in all, and for no more than `limit`."""
        ...

    def restore_points(self, upto: int) -> int:
        """The longest length of at most `upto` at which this state may be cut: from there the model can go on.

        Only what is there counts, so `upto` is at most `length`.
        """
        ...

    def copy_prefix(self, source: Self, num_tokens: int) -> None:
        """Become a copy of the first `num_tokens` of `source`, one of its restore points: the branch of a fork."""
        ...

    def clear(self) -> None:
        """Hold nothing; the memory stays."""
        ...

    def snapshot(self) -> StateSnapshot: ...

    def write(self, start: int, num_tokens: int, payload: memoryview) -> None:
        """Put a block's bytes (see `StateSnapshot.read_into`) in place; `length` is for the caller to move."""
        ...
