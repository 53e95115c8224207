"""What reuse saved, as it may be said: an estimate is called `about`, and what may be no difference is called none."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self

from warmturn.report import TurnReport
from warmturn.wire import figure_at

Source = Literal["controls", "measured", "estimated"]
NO_CLEAR_DIFFERENCE = "no clear difference"
_ENOUGH_CONTROLS = 5
"""Below this the interval by Student's t is so wide that it says nothing."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Seconds, negative where they were lost; `bounds` hold 95%. `turns` are those that were measured."""

    seconds: float
    bounds: tuple[float, float] | None
    source: Source
    turns: int = 0

    @property
    def is_clear(self) -> bool:
        return self.bounds is None or not self.bounds[0] <= 0 <= self.bounds[1]

    @property
    def is_sure(self) -> bool:
        """Whether it may stand for all: measured, and on enough turns to have an interval."""
        enough = self.source == "measured" or self.turns >= _ENOUGH_CONTROLS
        return self.source != "estimated" and self.bounds is not None and enough

    def plus(self, other: Self) -> "Saved":
        """Of two estimates, which err together."""
        low, high = self.bounds or (self.seconds, self.seconds)
        more_low, more_high = other.bounds or (other.seconds, other.seconds)
        return Saved(self.seconds + other.seconds, (low + more_low, high + more_high), self.source)

    def amount(self, written: Callable[[float], str]) -> str:
        """`about 1.44 s`, `lost 12 ms`, or that there is no clear difference."""
        if not self.is_clear:
            return NO_CLEAR_DIFFERENCE
        about = "about " if self.source == "estimated" else ""
        return f"{'lost ' if self.seconds < 0 else ''}{about}{written(abs(self.seconds))}"

    def sentence(self, written: Callable[[float], str]) -> str:
        """The amount with its bounds, and where it is from."""
        bounds = f" ({written(self.bounds[0])} to {written(self.bounds[1])})" if self.bounds else ""
        plural = "" if self.turns == 1 else "s"
        of_whom = {
            "controls": f" by {self.turns:,} control turn{plural}",
            "measured": f" on {self.turns:,} turn{plural} timed twice",
            "estimated": ", estimated",
        }
        return f"{self.amount(written)}{bounds}{of_whom[self.source]}"


def of_server(figures: object) -> list[Saved]:
    """From `/v1/stats`, what is surest first; empty where nothing is known.

    What control turns say goes for all turns, what was measured only for those that were timed twice.
    """
    known = list(_known(figures))
    controlled = any(saved.is_sure for saved in known if saved.source == "controls")
    order = ("controls", "estimated", "measured") if controlled else ("measured", "estimated", "controls")
    return sorted(known, key=lambda saved: (order.index(saved.source), not saved.is_sure))


def of_turn(report: TurnReport) -> Saved | None:
    """None where nothing was reused, or nobody knows."""
    if not report.cached_tokens or report.saved_ms is None:
        return None
    bounds = report.saved_ms_ci95 and (report.saved_ms_ci95[0] / 1000, report.saved_ms_ci95[1] / 1000)
    return Saved(report.saved_ms / 1000, bounds, "measured" if report.recompute_source == "measured" else "estimated")


def of_turns(reports: Iterable[TurnReport]) -> Saved | None:
    """By those of which it is known; None where that is none."""
    total: Saved | None = None
    for report in reports:
        if (saved := of_turn(report)) is not None:
            total = saved if total is None else total.plus(saved)
    return total


def _known(figures: object) -> Iterator[Saved]:
    controls = figure_at(figures, "controls")
    yield from _read(figure_at(controls, "saved_seconds"), "controls", figure_at(controls, "measured_turns"))
    for source in ("measured", "estimated"):
        found = figure_at(figures, "saved_seconds", source)
        yield from _read(found, source, figure_at(found, "turns"))


def _read(found: object, source: Source, turns: Any) -> Iterator[Saved]:
    value, bounds = figure_at(found, "value"), figure_at(found, "ci95")
    if value is not None:
        yield Saved(value, None if bounds is None else (bounds[0], bounds[1]), source, turns or 0)
