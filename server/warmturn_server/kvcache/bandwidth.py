"""How fast a tier gives its blocks back, learned from every restore."""

from __future__ import annotations

_WEIGHT_OF_NEWEST = 0.2


class Bandwidth:
    """A running estimate of restore time; unknown until something was measured."""

    def __init__(self) -> None:
        self._seconds_per_byte: float | None = None

    def observe(self, num_bytes: int, seconds: float) -> None:
        if num_bytes <= 0:
            return
        newest = seconds / num_bytes
        before = self._seconds_per_byte
        self._seconds_per_byte = newest if before is None else before + _WEIGHT_OF_NEWEST * (newest - before)

    def seconds(self, num_bytes: int) -> float:
        """Expected time to restore this much; 0 while nothing is known, so that the first restore is tried."""
        return num_bytes * (self._seconds_per_byte or 0.0)

    @property
    def bytes_per_second(self) -> float | None:
        return 1 / self._seconds_per_byte if self._seconds_per_byte else None
