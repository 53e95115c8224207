"""From values to pixels, and the values worth marking on an axis."""

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Protocol


class Scale(Protocol):
    def __call__(self, value: float) -> float: ...

    def ticks(self) -> list[float]: ...


@dataclass(frozen=True, slots=True)
class Linear:
    """`start` and `end` are the pixels of `low` and `high`, `step` lies between two marks."""

    low: float
    high: float
    start: float
    end: float
    step: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low or 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        first, last = ceil(self.low / self.step - 1e-9), floor(self.high / self.step + 1e-9)
        return [round(number * self.step, 10) for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Logarithmic:
    """Both ends above zero."""

    low: float
    high: float
    start: float
    end: float
    most_ticks: int = 8

    def __call__(self, value: float) -> float:
        share = (log10(max(value, self.low)) - log10(self.low)) / (log10(self.high / self.low) or 1.0)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """1, 2 and 5 of each power of ten, or only the powers where that would be too many."""
        powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            found = [step * 10.0**power for power in powers for step in steps]
            shown = [value for value in found if self.low <= value <= self.high]
            if len(shown) <= self.most_ticks:
                break
        return shown


def spanning(lowest: float, highest: float, start: float, end: float, most_steps: int = 6) -> Linear:
    """From mark to mark, so that every value lies below a line with a figure on it; zero is always within."""
    low, high = min(lowest, 0.0), max(highest, 0.0) or 1.0
    step = nice_step(high - low, most_steps)
    return Linear(floor(low / step) * step, ceil(high / step) * step, start, end, step)


def exactly(low: float, high: float, start: float, end: float, most_steps: int) -> Linear:
    """Ends where the values do."""
    return Linear(low, high, start, end, nice_step(high - low, most_steps))


def counting(low: int, high: int, start: float, end: float, most_steps: int) -> Linear:
    """Whole numbers only."""
    return Linear(low, high, start, end, max(round(nice_step(high - low, most_steps)), 1))


def shares(start: float, end: float) -> Linear:
    return Linear(0.0, 1.0, start, end, 0.25)


def bytes_from_zero(highest: int, start: float, end: float, most_steps: int = 5) -> Linear:
    """Marks at powers of two, as memory is counted."""
    step = 1
    while step * most_steps < highest:
        step *= 2
    return Linear(0, max(ceil(highest / step), 1) * step, start, end, step)


def nice_step(span: float, most: int) -> float:
    """1, 2, 2.5 or 5 times a power of ten, so that at most so many steps cover the span."""
    if span <= 0:
        return 1.0
    power = 10.0 ** floor(log10(span / most))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power * most >= span * (1 - 1e-9))
