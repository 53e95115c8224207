"""How long a prefill takes on this machine now, and how sure that is."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from .effort import Effort

Floats = npt.NDArray[np.float64]

_STEP_TOKENS: Final = np.geomspace(4, 16_384, 25)
_USUAL_STEP_TOKENS, _STEP_SPREAD = 80.0, 1.6
"""A CPU's step costs as much as some 80 tokens; a GPU's, which waits for its launches, as much as thousands."""
_ATTENTION_FACTORS: Final = np.geomspace(0.5, 4, 7)
_USUAL_FACTOR, _FACTOR_SPREAD = 1.3, 0.4
"""Attention is a little slower than products with weights are, operation for operation."""
_HALF_LIFE, _RECENT = 4, 24
"""Of prefills: the one before counts for all, the fourth before that for half."""
_TELLING, _REMEMBERED = 0.2, 64
"""Only what the shapes foresee differently, by this logarithm, tells which is right; so much of that is kept."""
_LEAST_ERROR, _ERROR_AT_FIRST, _DOUBTS = 0.03, 0.3, 3
"""Few prefills that agree may do so by luck: as if so many had been foreseen that badly before."""
_DEVIATION: Final = 1.5
"""Of a normal distribution, in units of its median distance from the middle."""
_Z_95: Final = 1.96
_TRUSTED: Final = 2.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds, and the bounds of a 95% interval."""

    seconds: float
    low: float
    high: float

    @property
    def trusted(self) -> bool:
        """Whether it is at most off by a factor of 2.5; beyond that it is better to say nothing."""
        return self.high <= _TRUSTED * self.seconds


class CostModel:
    """seconds = pace x (steps x step_tokens + tokens + pairs x pair_cost x attention_factor).

    What attention costs beside products is known from the model's shape (`pair_cost`); by which factor it is slower in
    practice, and how many tokens' worth a step costs besides, differs little from what is usual. Each pair of these two
    is a hypothesis on the law's shape, and has its own pace: the weighted median over recent prefills, so that neither
    a hiccup nor a busy second decides it, and a machine that became faster is followed within a few. Every prefill is
    first foreseen by all hypotheses. Those whose forecasts were nearer count for more (the likelihood is Cauchy's, for
    which outliers weigh little), and by how much they were off is the error. So what short prefills taught says of long
    ones only what likely hypotheses agree on, and the interval tells.
    `budget` is the largest prefill of one step. One thread observes; others
    may ask meanwhile, for what they read is replaced as a whole and never changed.
    """

    def __init__(self, budget: int, pair_cost: float) -> None:
        self.budget = budget
        steps, factors = np.meshgrid(_STEP_TOKENS, _ATTENTION_FACTORS, indexing="ij")
        self._step_tokens, self._pair_tokens = steps.ravel(), factors.ravel() * pair_cost
        self._prior = _log_normal(steps.ravel(), _USUAL_STEP_TOKENS, _STEP_SPREAD)
        self._prior += _log_normal(factors.ravel(), _USUAL_FACTOR, _FACTOR_SPREAD)
        self._belief = _normalised(self._prior)
        self._paces: deque[Floats] = deque(maxlen=_RECENT)
        self._telling: deque[Floats] = deque(maxlen=_REMEMBERED)
        self._errors: deque[float] = deque(maxlen=_RECENT)
        self._pace: Floats | None = None
        self._usual_error = _ERROR_AT_FIRST
        """Standard deviation of the logarithm."""
        self.relative_error: float | None = None
        """Weighted median of |foreseen - measured| / foreseen over recent prefills; None before there were two."""

    def observe(self, num_tokens: int, context: int, seconds: float) -> None:
        """One step that did nothing but prefill `num_tokens` after `context` tokens."""
        self.observe_step(Effort.of(num_tokens, context, num_tokens), seconds)

    def observe_step(self, effort: Effort, seconds: float) -> None:
        """One forward pass, and how long it took."""
        pace = math.log(max(seconds, 1e-9)) - np.log(self._tokens_worth(effort))
        if self._pace is not None:
            self._judge(pace - self._pace)
        self._paces.append(pace)
        self._pace = _weighted_median(np.array(self._paces))

    def seconds(self, num_tokens: int, context: int = 0) -> float | None:
        """The best guess for a prefill of `num_tokens` after `context`, alone; None if nothing was measured."""
        expected = self.estimate(Effort.of(num_tokens, context, self.budget))
        return None if expected is None else expected.seconds

    def step_tokens(self) -> float:
        """How many tokens' prefill takes as long as what a step costs whatever is in it: the best guess."""
        return math.exp(float(self._belief @ np.log(self._step_tokens)))

    def effort(self, num_tokens: int, context: int = 0) -> Effort:
        """To prefill `num_tokens` after `context`, in the steps that it would be computed in."""
        return Effort.of(num_tokens, context, self.budget)

    def estimate(self, effort: Effort, beside: Effort | None = None, beside_seconds: float = 0.0) -> Estimate | None:
        """What `effort` would take at a moment at which `beside` took `beside_seconds`; None if nothing was measured.

        The moment's own pace counts for as much as it was of the whole, because what was short may have been a hiccup;
        where it differs from the recent one, the interval holds both.
        """
        if self._pace is None:
            return None
        if not effort:
            return Estimate(0.0, 0.0, 0.0)
        worth = self._tokens_worth(effort)
        foreseen = self._pace + np.log(worth)
        doubt = 0.0
        if beside and beside_seconds > 0:
            other = self._tokens_worth(beside)
            aside = math.log(beside_seconds) - np.log(other) - self._pace
            weight = other / (other + worth)
            foreseen = foreseen + weight * aside
            doubt = float(self._belief @ ((1 - weight) * np.abs(aside)))
        return self._interval(foreseen, doubt)

    def _judge(self, off: Floats) -> None:
        """By which logarithm a prefill was slower than each hypothesis foresaw."""
        self._note_error(abs(float(self._belief @ off)))
        if np.ptp(off) < _TELLING:
            return
        self._telling.append(off)
        told = np.abs(np.array(self._telling))
        doubted = np.vstack([told, np.full((_DOUBTS, told.shape[1]), _ERROR_AT_FIRST)])
        spread = max(float(np.median(doubted, axis=0).min()), _LEAST_ERROR)
        self._belief = _normalised(self._prior - np.log1p((told / spread) ** 2).sum(axis=0))

    def _interval(self, foreseen: Floats, doubt: float) -> Estimate:
        mean = float(self._belief @ foreseen)
        variance = float(self._belief @ (foreseen - mean) ** 2) + self._usual_error**2 + doubt**2
        off = _Z_95 * math.sqrt(variance)
        return Estimate(math.exp(mean), math.exp(mean - off), math.exp(mean + off))

    def _note_error(self, error: float) -> None:
        """From the median to the deviation of a normal; where few were seen, they are not all there is."""
        self._errors.append(error)
        doubted = np.array([*2 * [_ERROR_AT_FIRST / _DEVIATION], *self._errors])
        self._usual_error = max(_DEVIATION * float(_weighted_median(doubted)), _LEAST_ERROR)
        self.relative_error = math.expm1(float(_weighted_median(np.array(self._errors))))

    def _tokens_worth(self, effort: Effort) -> Floats:
        worth: Floats = effort.steps * self._step_tokens + effort.tokens + effort.pairs * self._pair_tokens
        return worth


def _weighted_median(values: Floats) -> Floats:
    """Along the first axis, oldest first; the younger, the heavier."""
    weights = 0.5 ** (np.arange(len(values))[::-1] / _HALF_LIFE)
    order = np.argsort(values, axis=0)
    below = np.cumsum(weights[order], axis=0)
    middle = np.argmax(below >= weights.sum() / 2, axis=0)
    found: Floats = np.take_along_axis(values, np.take_along_axis(order, middle[None], axis=0), axis=0)[0]
    return found


def _log_normal(values: Floats, usual: float, spread: float) -> Floats:
    density: Floats = -0.5 * (np.log(values / usual) / spread) ** 2
    return density


def _normalised(logarithms: Floats) -> Floats:
    shares = np.exp(logarithms - logarithms.max())
    normalised: Floats = shares / shares.sum()
    return normalised
