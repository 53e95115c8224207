"""What saved state really saved, from control turns, with the uncertainty that so few of them leave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_Z_975 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95% confidence interval, which needs two control turns."""

    value: float
    low: float | None
    high: float | None


class ControlledSavings:
    """The difference estimator of survey sampling.

    Every turn that reused state has an estimated saving: expected time to recompute, less what it took. Control turns,
    drawn at random, tell by how much the expected time to recompute is wrong. So the saving of all N turns is the sum
    of the estimates plus N times the mean error of the controls: unbiased however bad the estimate is, and precise
    where it is good. The interval is Student's t on the controls' errors.
    """

    def __init__(self) -> None:
        self.num_reused = 0
        self.num_controls = 0
        self._estimated = 0.0
        self._mean = 0.0
        self._squares = 0.0

    def reused(self, saved_seconds: float) -> None:
        """A turn went on from saved state, which by the estimate saved so much (a loss is negative)."""
        self.num_reused += 1
        self._estimated += saved_seconds

    def controlled(self, measured_seconds: float, expected_seconds: float) -> None:
        """A turn was really recomputed, which was expected to take `expected_seconds`."""
        error = measured_seconds - expected_seconds
        self.num_controls += 1
        change = error - self._mean
        self._mean += change / self.num_controls
        self._squares += change * (error - self._mean)

    @property
    def saved(self) -> Interval | None:
        """Seconds saved by all turns; None without a control turn."""
        if not self.num_controls:
            return None
        return _interval(self._estimated + self.num_reused * self._mean, self._margin, self.num_reused)

    @property
    def bias(self) -> Interval | None:
        """Estimated minus measured seconds, for one turn."""
        return _interval(-self._mean, self._margin, 1) if self.num_controls else None

    @property
    def _margin(self) -> float | None:
        """Half of the interval for the mean error."""
        freedom = self.num_controls - 1
        if freedom < 1:
            return None
        return _t_975(freedom) * math.sqrt(self._squares / freedom / self.num_controls)


def _interval(value: float, margin: float | None, times: int) -> Interval:
    if margin is None:
        return Interval(value, None, None)
    return Interval(value, value - times * margin, value + times * margin)


def _t_975(freedom: int) -> float:
    """Student's t: from the table, then by its expansion in 1/freedom, right to three digits."""
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    z = _Z_975
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
