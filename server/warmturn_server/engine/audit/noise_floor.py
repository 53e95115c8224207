"""How far two right computations of the same logits lie apart on this machine, with this model and number format."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final, Protocol

import torch

_REMEMBERED = 64
_ENOUGH = 8
_AGAIN_EVERY = 16
_LEAST_UNITS = {torch.float32: 16.0, torch.float64: 16.0}
"""Units of rounding below which no difference counts; half a one for the short formats, whose sums are float32."""


class Floor(Protocol):
    """What a deviation is measured by, in units of the logits' spread."""

    @property
    def value(self) -> float | None:
        """The usual deviation; None while it is not known."""
        ...

    @property
    def wants_more(self) -> bool:
        """Whether the next audit should recompute twice although nothing is suspicious."""
        ...

    def at_least(self, deviation: float) -> float:
        """The floor for a turn whose own two recomputations differ by `deviation`."""
        ...

    def observe(self, deviation: float) -> None:
        """Two recomputations differed by so much."""
        ...

    def audited(self) -> None: ...


class NoNoise:
    """With `--exact` right computations agree to the last bit: whatever differs is a fault."""

    value: Final = 0.0
    wants_more: Final = False

    def at_least(self, deviation: float) -> float:  # noqa: ARG002
        return self.value

    def observe(self, deviation: float) -> None:
        """Nothing is to be learned."""

    def audited(self) -> None:
        """Nothing is to be learned."""


class NoiseFloor:
    """Learned from control turns that were recomputed twice, in pieces of different sizes.

    Only recomputed logits go in, never those of reused state: bad state cannot raise it. It never falls below a few
    units of rounding, for a small model's sums may come out bit for bit the same in one shape and not in another.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._least = _LEAST_UNITS.get(dtype, 0.5) * torch.finfo(dtype).eps
        self._seen: deque[float] = deque(maxlen=_REMEMBERED)
        self._audits_since = 0

    @property
    def value(self) -> float | None:
        return max(median(self._seen), self._least) if len(self._seen) >= _ENOUGH else None

    @property
    def wants_more(self) -> bool:
        return len(self._seen) < _ENOUGH or self._audits_since >= _AGAIN_EVERY

    def at_least(self, deviation: float) -> float:
        return max(deviation, self.value or self._least)

    def observe(self, deviation: float) -> None:
        self._seen.append(deviation)
        self._audits_since = 0

    def audited(self) -> None:
        self._audits_since += 1
