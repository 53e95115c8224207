"""What a step of several tokens costs beside one of a single token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_WIDE: Final = 8
_TRIES, _ENOUGH_SECONDS = 5, 0.5
_DEAREST: Final = 8.0


@dataclass(frozen=True, slots=True)
class StepCosts:
    """Of steps of 2 and of 8 tokens, in units of what one of a single token costs; all others lie on lines."""

    two: float
    eight: float

    def of(self, num_tokens: int) -> float:
        if num_tokens < 2:
            return 1.0
        return self.two + (num_tokens - 2) * (self.eight - self.two) / (_WIDE - 2)


def measured_step_costs(seconds: Callable[[int], float]) -> StepCosts:
    """`seconds(n)` times a step of n tokens. The best of some tries counts, to a tenth: what else the machine does, and
    when it was measured, should not decide which steps are taken."""
    best = {1: float("inf"), 2: float("inf"), _WIDE: float("inf")}
    spent = 0.0
    for _ in range(_TRIES):
        for size in best:
            taken = seconds(size)
            best[size], spent = min(best[size], taken), spent + taken
        if spent > _ENOUGH_SECONDS:
            break
    two, eight = (min(max(best[size] / best[1], 1.0), _DEAREST) for size in (2, _WIDE))
    return StepCosts(round(two, 1), round(max(two, eight), 1))
