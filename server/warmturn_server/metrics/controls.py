"""What control turns and audits showed: measured savings with their uncertainty, and whether saved state is right."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ..engine import ControlledSavings, ControlTurn, Result, Verdict
from ..engine_api import ControlMode
from .prometheus import by_label, seen, total
from .savings import shown

_RATIOS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 100.0)
_WHY_DROPPED = ("backlog", "memory", "deleted", "quarantined", "failed")
_REMEMBERED_BREACHES = 32


class ControlMetrics:
    """Counts controls and audits; called by the engine's thread, read by others."""

    def __init__(self, registry: CollectorRegistry, saving_measured: Callable[[float], None]) -> None:
        self._saving_measured = saving_measured
        self._turns = Counter(
            "warmturn_control_turns", "Control turns that were computed from scratch", ["mode"], registry=registry
        )
        self._dropped = Counter(
            "warmturn_control_turns_dropped", "Control turns not computed again", ["reason"], registry=registry
        )
        self._spent = Counter(
            "warmturn_control_spent_seconds",
            "What control turns cost: users' longer wait (replace), computing while idle (shadow)",
            ["mode"],
            registry=registry,
        )
        self._spared = Counter(
            "warmturn_control_spared_seconds",
            "By how much control turns were sooner than reuse was expected to be (replace)",
            ["mode"],
            registry=registry,
        )
        self._saved = Gauge(
            "warmturn_saved_seconds_measured",
            "Seconds saved by all turns, by what control turns measured; low and high bound 95%",
            ["bound"],
            registry=registry,
        )
        self._bias = Gauge(
            "warmturn_estimate_bias_seconds",
            "Estimated minus measured saving of a turn, the mean of control turns; low and high bound 95%",
            ["bound"],
            registry=registry,
        )
        self._audits = Counter(
            "warmturn_audits", "Comparisons of reused state with recomputed state", ["result"], registry=registry
        )
        self._ratio = Histogram(
            "warmturn_audit_deviation_ratio",
            "Deviation of the logits of reused state from recomputed ones, in units of the noise floor",
            buckets=_RATIOS,
            registry=registry,
        )
        self._floor = Gauge(
            "warmturn_audit_noise_floor",
            "Usual deviation between two recomputations, in units of the logits' spread",
            registry=registry,
        )
        self._quarantined = Counter(
            "warmturn_quarantined_blocks", "Blocks of state removed after a failed audit", registry=registry
        )
        for mode in ControlMode:
            self._turns.labels(mode.value)
            self._spent.labels(mode.value)
            self._spared.labels(mode.value)
        for result in Result:
            self._audits.labels(result.value)
        for reason in _WHY_DROPPED:
            self._dropped.labels(reason)
        self._floor.set(math.nan)
        self._backlog = Gauge(
            "warmturn_control_backlog", "Control turns that wait for an idle machine", registry=registry
        )
        self._lock = threading.Lock()
        self._savings = ControlledSavings()
        self._last_deviation: float | None = None
        self._breaches: deque[dict[str, object]] = deque(maxlen=_REMEMBERED_BREACHES)
        self._show_savings()

    def watch(self, num_waiting: Callable[[], int]) -> None:
        """Show how many control turns wait, beside the counts."""
        self._backlog.set_function(num_waiting)

    def turn_reused(self, saved_seconds: float) -> None:
        with self._lock:
            self._savings.reused(saved_seconds)
            self._show_savings()

    def turn_recomputed(
        self, mode: ControlMode, seconds: float, expected_seconds: float | None, reuse_seconds: float | None
    ) -> None:
        self._turns.labels(mode.value).inc()
        if expected_seconds is not None:
            with self._lock:
                self._savings.controlled(seconds, expected_seconds)
                self._show_savings()
        if mode is ControlMode.REPLACE and reuse_seconds is not None:
            self._spend(mode, seconds - reuse_seconds)
        elif mode is ControlMode.SHADOW and reuse_seconds is not None:
            self._saving_measured(seconds - reuse_seconds)

    def control_dropped(self, reason: str) -> None:
        self._dropped.labels(reason).inc()

    def idle_seconds_used(self, seconds: float) -> None:
        self._spend(ControlMode.SHADOW, seconds)

    def audited(self, verdict: Verdict, noise_floor: float | None) -> None:
        self._audits.labels(verdict.result.value).inc()
        if verdict.deviation is not None and verdict.floor:
            self._ratio.observe(verdict.deviation / verdict.floor)
        self._floor.set(math.nan if noise_floor is None else noise_floor)
        self._last_deviation = verdict.deviation

    def quarantined(self, turn: ControlTurn, verdict: Verdict, num_blocks: int) -> None:
        self._quarantined.inc(num_blocks)
        breach = {"at": int(time.time()), "control": turn.control.id, **_figures(verdict)}
        breach |= {"blocks": num_blocks, "cached_by_tier": turn.cached_by_tier}
        with self._lock:
            self._breaches.appendleft(breach)

    def snapshot(self) -> dict[str, object]:
        """For `/v1/stats`; unknown is None."""
        with self._lock:
            return {
                "controls": {
                    "turns": seen(self._turns),
                    "dropped": seen(self._dropped),
                    "backlog": int(total(self._backlog)),
                    "cost_seconds": self._cost(),
                    "reused_turns": self._savings.num_reused,
                    "measured_turns": self._savings.num_controls,
                    "saved_seconds": shown(self._savings.saved) if self._savings.num_controls else None,
                    "estimate_bias_seconds": shown(self._savings.bias) if self._savings.num_controls else None,
                },
                "audits": {
                    **{result: int(count) for result, count in by_label(self._audits).items()},
                    "noise_floor": _finite(total(self._floor)),
                    "last_deviation": _finite(self._last_deviation),
                    "quarantined_blocks": int(total(self._quarantined)),
                    "recent_breaches": list(self._breaches),
                },
            }

    def _cost(self) -> dict[str, float]:
        spared = by_label(self._spared)
        return {mode: seconds - spared[mode] for mode, seconds in by_label(self._spent).items()}

    def _spend(self, mode: ControlMode, seconds: float) -> None:
        (self._spent if seconds >= 0 else self._spared).labels(mode.value).inc(abs(seconds))

    def _show_savings(self) -> None:
        for gauge, interval in ((self._saved, self._savings.saved), (self._bias, self._savings.bias)):
            for bound in ("low", "value", "high"):
                value = getattr(interval, bound) if interval else None
                gauge.labels(bound).set(math.nan if value is None else value)


def _figures(verdict: Verdict) -> dict[str, object]:
    return {"deviation": _finite(verdict.deviation), "floor": verdict.floor, "positions": verdict.positions}


def _finite(value: float | None) -> float | None:
    """JSON knows no infinity; what was not a number at all is unknown."""
    return value if value is not None and math.isfinite(value) else None
