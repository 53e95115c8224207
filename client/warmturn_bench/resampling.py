"""Intervals by drawing again: whole conversations, because turns of one are not independent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import TypeVar

LEAST_CONVERSATIONS = 5
"""Below this a bootstrap has too few different samples to say anything."""
_RESAMPLES, _DRAWS = 2000, 400_000
"""At most so many resamples, and so many draws in all: thousands of conversations must not take minutes."""

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float

    @property
    def spans_zero(self) -> bool:
        return self.low <= 0 <= self.high

    def scaled(self, factor: float) -> "Interval":
        return Interval(self.low * factor, self.high * factor)


def drawn_again(sample: Sequence[One], figure: Callable[[Sequence[One]], float], seed: int) -> Interval | None:
    """95% interval of a figure of the sample: the percentile bootstrap of Efron and Tibshirani (1993), chapter 13.

    None of fewer than five. Which ones are drawn depends on their number and the seed alone, so that figures of the
    same conversations agree with each other.
    """
    if len(sample) < LEAST_CONVERSATIONS:
        return None
    rng = Random(f"{seed} bootstrap")
    resamples = min(_RESAMPLES, max(_DRAWS // len(sample), 100))
    drawn = [figure(rng.choices(sample, k=len(sample))) for _ in range(resamples)]
    return Interval(percentile(drawn, 2.5) or 0.0, percentile(drawn, 97.5) or 0.0)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Nearest rank: the smallest observed value that at least so many percent do not exceed. None of nothing.

    Nothing is interpolated, so the 99th of ten values is their largest.
    """
    if not values:
        return None
    return sorted(values)[max(ceil(percent / 100 * len(values)), 1) - 1]
