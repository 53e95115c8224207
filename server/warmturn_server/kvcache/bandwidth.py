"""How fast a tier gives its blocks back, learned from every restore."""

from __future__ import annotations

_WEIGHT_OF_NEWEST = 0.2
_TELLS_UP_TO = 4
_BELIEF_KEPT = 0.9
_CUT_OFF_IS_SLOWER_BY = 2.0


class Bandwidth:
    """A running estimate of restore time. What is not known is taken to be fast: only a restore makes it known."""

    def __init__(self) -> None:
        self._seconds_per_byte: float | None = None
        self._largest_bytes = 0

    def observe(self, num_bytes: int, seconds: float) -> None:
        if num_bytes <= 0:
            return
        newest = seconds / num_bytes
        before = self._seconds_per_byte
        self._seconds_per_byte = newest if before is None else before + _WEIGHT_OF_NEWEST * (newest - before)
        self._largest_bytes = max(self._largest_bytes, num_bytes)

    def seconds(self, num_bytes: int) -> float:
        """Expected time to restore this much; 0 where nothing is known, so that it is tried.

        A small restore is mostly fixed costs, so it says nothing about one many times as large.
        """
        if num_bytes > _TELLS_UP_TO * self._largest_bytes:
            return 0.0
        return num_bytes * (self._seconds_per_byte or 0.0)

    def cut_off(self, num_bytes: int, compute_seconds: float) -> None:
        """A restore of this much was given up because computing was faster; the next few are not even begun."""
        if num_bytes > 0:
            at_least = _CUT_OFF_IS_SLOWER_BY * compute_seconds / num_bytes
            self._seconds_per_byte = max(self._seconds_per_byte or 0.0, at_least)
            self._largest_bytes = max(self._largest_bytes, num_bytes)

    def doubt(self) -> None:
        """Passed over as too slow: believe that a little less each time, or one bad moment would decide for good."""
        if self._seconds_per_byte is not None:
            self._seconds_per_byte *= _BELIEF_KEPT

    @property
    def bytes_per_second(self) -> float | None:
        return 1 / self._seconds_per_byte if self._seconds_per_byte else None
