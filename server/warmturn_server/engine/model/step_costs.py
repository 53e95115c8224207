"""What a step of several tokens costs beside one of a single token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

WIDE: Final = 8
_TRIES, _ENOUGH_SECONDS = 3, 0.5


@dataclass(frozen=True, slots=True)
class StepCosts:
    """Of steps of 2 and of 8 tokens, in units of what one of a single token costs; all others lie on lines."""

    two: float
    eight: float

    def of(self, num_tokens: int) -> float:
        if num_tokens < 2:
            return 1.0
        return self.two + (num_tokens - 2) * (self.eight - self.two) / (WIDE - 2)


_KINDS: Final = ((2.5, StepCosts(1.2, 1.6)), (5.0, StepCosts(1.5, 3.0)))
"""Up to what a step of 8 costs, and what is reckoned with then. A step's width decides how bfloat16 rounds: what a busy
moment does to a measurement must not decide that, or a conversation might go on otherwise after a restart."""
_DEAR: Final = StepCosts(2.0, 8.0)


def step_costs_of(wide_seconds: float, single_seconds: float) -> StepCosts:
    """The kind of machine on which a step of 8 tokens and one of a single token take so long."""
    return next((costs for most, costs in _KINDS if wide_seconds <= most * single_seconds), _DEAR)


def measured_step_costs(seconds: Callable[[int], float]) -> StepCosts:
    """`seconds(n)` times a step of n tokens; the best of some tries counts."""
    single, wide = seconds(1), seconds(WIDE)
    spent = single + wide
    for _ in range(_TRIES - 1):
        if spent > _ENOUGH_SECONDS:
            break
        single, wide = min(single, seconds(1)), min(wide, seconds(WIDE))
        spent += single + wide
    return step_costs_of(wide, single)
