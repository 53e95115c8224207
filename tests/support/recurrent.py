"""State of another kind than K and V: one number that depends on all tokens so far, kept every 16 of them only."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

KEPT_EVERY = 16
_NUM_BYTES = 8


class RecurrentLayout:
    """A block is as large as any other, however many tokens it is of."""

    def bytes_for(self, num_tokens: int) -> int:
        del num_tokens
        return _NUM_BYTES

    def describe(self) -> str:
        return f"one number every {KEPT_EVERY} tokens"


@dataclass
class RecurrentSnapshot:
    """The number after each length at which it was kept."""

    kept: dict[int, int]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def read_into(self, start: int, stop: int, payload: memoryview) -> None:
        del start
        payload[:] = self.kept.get(stop, 0).to_bytes(_NUM_BYTES, "little")


@dataclass
class RecurrentState:
    """May be cut only where the number was kept."""

    length: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    _kept: dict[int, int] = field(default_factory=lambda: {0: 0})

    @property
    def num_bytes(self) -> int:
        return _NUM_BYTES * len(self._kept)

    def reserve(self, num_tokens: int, limit: int | None = None) -> None: ...

    def restore_points(self, upto: int) -> int:
        return upto - upto % KEPT_EVERY

    def copy_prefix(self, source: RecurrentState, num_tokens: int) -> None:
        self._kept = {length: number for length, number in source._kept.items() if length <= num_tokens}
        self.length = num_tokens

    def clear(self) -> None:
        self._kept, self.length = {0: 0}, 0

    def snapshot(self) -> RecurrentSnapshot:
        return RecurrentSnapshot(dict(self._kept))

    def write(self, start: int, num_tokens: int, payload: memoryview) -> None:
        if (start + num_tokens) % KEPT_EVERY == 0:
            self._kept[start + num_tokens] = int.from_bytes(payload, "little")

    def compute(self, num_tokens: int) -> None:
        """Go on from the present length, as a model would from a restore point."""
        number = self._kept[self.length]
        for length in range(self.length + 1, num_tokens + 1):
            number = (number * 6364136223846793005 + length) % 2**64
            if length % KEPT_EVERY == 0:
                self._kept[length] = number
        self.length = num_tokens
