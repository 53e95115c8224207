"""What saved state really saved, from control turns, with the uncertainty that so few of them leave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_Z_975 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95% confidence interval; of what was measured, that needs two turns."""

    value: float
    low: float | None
    high: float | None

    def plus(self, value: float, low: float, high: float) -> Interval:
        """The sum with another one that errs in the same direction."""
        assert self.low is not None and self.high is not None
        return Interval(self.value + value, self.low + low, self.high + high)


class MeanOfFew:
    """A mean with its interval by Student's t; squares are added up as Welford (1962) does, so that nothing cancels."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        change = value - self.mean
        self.mean += change / self.count
        self._squares += change * (value - self.mean)

    @property
    def total(self) -> Interval | None:
        """The sum of what was added, as a sample of what it might have been; None of nothing."""
        return self.times(self.count, self.count * self.mean) if self.count else None

    def times(self, count: int, value: float) -> Interval:
        """`value`, with as much uncertainty as `count` times the mean has."""
        if self.count < 2:
            return Interval(value, None, None)
        freedom = self.count - 1
        margin = count * _t_975(freedom) * math.sqrt(self._squares / freedom / self.count)
        return Interval(value, value - margin, value + margin)


class ControlledSavings:
    """The difference estimator of survey sampling.

    Every turn that reused state has an estimated saving: expected time to recompute, less what it took. Control turns,
    drawn at random, tell by how much the expected time to recompute is wrong. So the saving of all N turns is the sum
    of the estimates plus N times the mean error of the controls: unbiased however bad the estimate is, and precise
    where it is good. The interval is Student's t on the controls' errors.
    """

    def __init__(self) -> None:
        self.num_reused = 0
        self._estimated = 0.0
        self._errors = MeanOfFew()

    @property
    def num_controls(self) -> int:
        return self._errors.count

    def reused(self, saved_seconds: float) -> None:
        """A turn went on from saved state, which by the estimate saved so much (a loss is negative)."""
        self.num_reused += 1
        self._estimated += saved_seconds

    def controlled(self, measured_seconds: float, expected_seconds: float) -> None:
        """A turn was really recomputed, which was expected to take `expected_seconds`."""
        self._errors.add(measured_seconds - expected_seconds)

    @property
    def saved(self) -> Interval | None:
        """Seconds saved by all turns; None without a control turn."""
        if not self.num_controls:
            return None
        return self._errors.times(self.num_reused, self._estimated + self.num_reused * self._errors.mean)

    @property
    def bias(self) -> Interval | None:
        """Estimated minus measured seconds, for one turn."""
        return self._errors.times(1, -self._errors.mean) if self.num_controls else None


def _t_975(freedom: int) -> float:
    """Student's t: from the table, then by its expansion in 1/freedom, right to three digits."""
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    z = _Z_975
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
