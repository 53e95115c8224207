"""What makes a server's figures uncertain, in words: the page at `/` says the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from warmturn.format import counted
from warmturn.wire import figure_at

Doubted = Literal["saved", "first text"]
_ENOUGH_CONTROLS = 5
"""Below this the interval by Student's t is so wide that it says nothing."""


@dataclass(frozen=True, slots=True)
class Doubt:
    about: Doubted
    words: str


def doubts(figures: object, before: object = None, *, written: Callable[[float], str]) -> list[Doubt]:
    """From `/v1/stats`. Times to first text are those since `before`, an earlier answer of the same server."""
    first = [Doubt("first text", words) for words in _about_first_text(figures, before)]
    return [*first, *(Doubt("saved", words) for words in _about_savings(figures, written))]


def _about_first_text(figures: object, before: object) -> Iterator[str]:
    """Control turns in place of reuse are slow on purpose; those after the reply are nobody's wait."""
    replaced = _count(figures, "controls", "turns", "replace") - _count(before, "controls", "turns", "replace")
    if replaced > 0:
        yield f"{counted(replaced, 'control turn')} among them, computed in full on purpose"


def _about_savings(figures: object, written: Callable[[float], str]) -> Iterator[str]:
    estimated = figure_at(figures, "saved_seconds", "estimated")
    if unknown := _count(estimated, "unknown_turns"):
        turns = unknown + _count(estimated, "turns")
        yield f"{unknown:,} of {counted(turns, 'turn')} left out of the estimate: what they saved cannot be said"
    yield from _by_controls(figure_at(figures, "controls"), written)


def _by_controls(controls: object, written: Callable[[float], str]) -> Iterator[str]:
    measured = _count(controls, "measured_turns")
    if 0 < measured < _ENOUGH_CONTROLS:
        yield f"only {counted(measured, 'control turn')} to check the estimate by"
    bias = figure_at(controls, "estimate_bias_seconds")
    value, bounds = figure_at(bias, "value"), figure_at(bias, "ci95")
    if value is not None and bounds and not bounds[0] <= 0 <= bounds[1]:
        yield f"by control turns the estimate is {written(abs(value))} a turn too {'high' if value > 0 else 'low'}"
    if dropped := sum((figure_at(controls, "dropped") or {}).values()):
        yield f"{counted(dropped, 'control turn')} given up, which may be no chance sample"


def _count(found: object, *path: str) -> Any:
    return figure_at(found, *path) or 0
