"""How long a prefill takes on this machine: fixed, linear and quadratic in tokens, learned from what was measured."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

_REMEMBERED = 512
_REFIT_EVERY = 16


class CostModel:
    """seconds = fixed a step + linear in new tokens + quadratic in (new tokens x tokens they look at).

    Fitted by least squares on relative errors, with no negative coefficient. `budget` is the largest prefill of one
    step, so that longer ones are priced in the pieces they are computed in.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._seen: deque[tuple[int, int, float]] = deque(maxlen=_REMEMBERED)
        self._coefficients: npt.NDArray[np.float64] | None = None
        self._since_fit = 0

    def observe(self, num_tokens: int, context: int, seconds: float) -> None:
        """One step that did nothing but prefill `num_tokens` after `context` tokens."""
        self._seen.append((num_tokens, context, seconds))
        self._since_fit += 1
        if self._coefficients is None or self._since_fit >= _REFIT_EVERY:
            self.fit()

    def fit(self) -> None:
        """Take everything seen into account."""
        if not self._seen:
            return
        rows = np.array([_features(tokens, context) for tokens, context, _ in self._seen])
        seconds = np.array([seconds for *_, seconds in self._seen])
        self._coefficients = _non_negative_fit(rows / seconds[:, None])
        self._since_fit = 0

    def seconds(self, num_tokens: int, context: int = 0) -> float | None:
        """Expected time to prefill `num_tokens` after `context`, alone; None if nothing was measured."""
        if self._coefficients is None:
            return None
        starts = range(0, num_tokens, self._budget)
        steps = [_features(min(self._budget, num_tokens - start), context + start) for start in starts]
        return float(np.sum(np.array(steps) @ self._coefficients)) if steps else 0.0

    @property
    def relative_error(self) -> float | None:
        """Median of |predicted - measured| / measured over the steps remembered; None before any measurement."""
        if self._coefficients is None:
            return None
        predicted = np.array([_features(tokens, context) for tokens, context, _ in self._seen]) @ self._coefficients
        measured = np.array([seconds for *_, seconds in self._seen])
        return float(np.median(np.abs(predicted - measured) / measured))


def _features(num_tokens: int, context: int) -> tuple[float, float, float]:
    return 1.0, float(num_tokens), num_tokens * (context + num_tokens / 2)


def _non_negative_fit(relative_rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Coefficients c >= 0 that bring rows @ c closest to 1; a feature that would go negative is left out."""
    active = [0, 1, 2]
    coefficients = np.zeros(3)
    while active:
        solved = np.linalg.lstsq(relative_rows[:, active], np.ones(len(relative_rows)), rcond=None)[0]
        if (solved >= 0).all():
            coefficients[active] = solved
            return coefficients
        active.pop(int(np.argmin(solved)))
    return coefficients
