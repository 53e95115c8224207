"""Percentiles of what was really observed."""

from collections.abc import Sequence
from math import ceil

PERCENTS = (50, 90, 95, 99)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Nearest rank: the smallest observed value that at least so many percent do not exceed. None of nothing.

    Nothing is interpolated, so the 99th of ten values is their largest.
    """
    if not values:
        return None
    return sorted(values)[max(ceil(percent / 100 * len(values)), 1) - 1]


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    return {f"p{percent}": _rounded(percentile(values, percent)) for percent in PERCENTS}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
