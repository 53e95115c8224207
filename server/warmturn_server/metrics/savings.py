"""Seconds that reuse saved: gained and lost apart, which only grow, and their difference with an interval."""

from __future__ import annotations

import threading

from prometheus_client import CollectorRegistry, Counter

from ..engine import Interval, MeanOfFew
from ..engine_api import TurnReport

SOURCES = ("estimated", "measured")


class GainsAndLosses:
    """Two counters, because a counter never falls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gained = Counter(
            "warmturn_gained_seconds",
            "Waiting for first tokens that reuse spared, on turns that it made faster",
            ["source"],
            registry=registry,
        )
        self._lost = Counter(
            "warmturn_lost_seconds",
            "Waiting for first tokens that reuse added, on turns that it made slower",
            ["source"],
            registry=registry,
        )
        for source in SOURCES:
            self._gained.labels(source)
            self._lost.labels(source)

    def add(self, source: str, seconds: float) -> None:
        """Saved by one turn; negative where it lost."""
        (self._gained if seconds >= 0 else self._lost).labels(source).inc(abs(seconds))


class SavedSeconds:
    """What all turns saved by estimate, and those that were timed both ways by measurement; for `/v1/stats`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._estimated = Interval(0.0, 0.0, 0.0)
        self._num_estimated = self._num_unknown = 0
        self._measured = MeanOfFew()

    def turn_reused(self, report: TurnReport) -> None:
        """One that went on from state. Estimates err together, so that their bounds add up."""
        with self._lock:
            if report.saved_ms is None:
                self._num_unknown += 1
                return
            self._num_estimated += 1
            low, high = report.saved_ms_ci95 or (report.saved_ms, report.saved_ms)
            self._estimated = self._estimated.plus(report.saved_ms / 1000, low / 1000, high / 1000)

    def measured(self, seconds: float) -> None:
        """By one turn that was timed both ways."""
        with self._lock:
            self._measured.add(seconds)

    def snapshot(self) -> dict[str, object]:
        with self._lock:
            estimated = self._estimated if self._num_estimated else None
            return {
                "estimated": {
                    **shown(estimated),
                    "turns": self._num_estimated,
                    "unknown_turns": self._num_unknown,
                },
                "measured": {**shown(self._measured.total), "turns": self._measured.count},
            }


def shown(interval: Interval | None) -> dict[str, object]:
    """Unknown is None."""
    if interval is None:
        return {"value": None, "ci95": None}
    known = interval.low is not None and interval.high is not None
    return {"value": interval.value, "ci95": [interval.low, interval.high] if known else None}
