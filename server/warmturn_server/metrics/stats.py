"""What `/v1/stats` says to people: totals since start, and percentiles over the latest turns."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..engine_api import ReuseMode, TurnReport
from .prometheus import Exposed, by_label, seen, total
from .savings import SavedSeconds

_REMEMBERED_TURNS = 2000
_RECENT_SECONDS = 60
_PERCENTS = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class _EndedTurn:
    ended: float
    report: TurnReport


class Stats:
    """Counts only what Prometheus does not; the rest is read from there."""

    def __init__(self, exposed: Exposed) -> None:
        self.counting = threading.Lock()
        """Held while a turn is counted, so that nobody reads half of one."""
        self.savings = SavedSeconds()
        self._exposed = exposed
        self._turns: deque[_EndedTurn] = deque(maxlen=_REMEMBERED_TURNS)
        self._instance = uuid.uuid4().hex
        self._started = time.monotonic()
        self._prompt_tokens = self._tokens_prefilled = self._tokens_generated = self._tokens_of_step = 0
        self._sources: set[str] = set()

    def token(self) -> None:
        """One behind the first of its turn."""
        self._tokens_generated += 1
        self._tokens_of_step += 1

    def step(self, num_tokens: int) -> None:
        self._tokens_prefilled += num_tokens - self._tokens_of_step
        self._tokens_of_step = 0

    def turn_finished(self, report: TurnReport, num_output_tokens: int) -> None:
        self._turns.append(_EndedTurn(time.monotonic(), report))
        self._prompt_tokens += report.prompt_tokens
        self._sources.update(report.cached_by_tier, ("computed",))
        self._tokens_generated += num_output_tokens > 0

    def snapshot(self) -> dict[str, object]:
        """Unknown is None.

        `instance` names this process: totals of another one count from zero. Rates are differences of totals over the
        difference of `uptime_seconds`. `tokens_prefilled` and `tokens_generated` grow while the engine works, whatever
        for; the totals of turns grow when one ends.
        """
        with self.counting:
            now = time.monotonic()
            turns = list(self._turns)
            counted = self._counted()
        recent = [turn for turn in turns if turn.ended >= now - _RECENT_SECONDS]
        return {
            "instance": self._instance,
            "uptime_seconds": round(now - self._started, 3),
            **counted,
            "by_reuse": _by_reuse(turns),
            "recent": {"seconds": _RECENT_SECONDS, "by_reuse": _by_reuse(recent)},
        }

    def _counted(self) -> dict[str, object]:
        return {
            "totals": self._totals(),
            "prompt_tokens_by_source": self._prompt_tokens_by_source(),
            "misses": seen(self._exposed.misses),
            "conversation_turns": seen(self._exposed.continued),
            "saved_seconds": self.savings.snapshot(),
            "ahead": self._exposed.ahead.snapshot(),
        }

    def _totals(self) -> dict[str, int]:
        return {
            "turns": int(total(self._exposed.turns)),
            "prompt_tokens": self._prompt_tokens,
            "output_tokens": int(total(self._exposed.output_tokens)),
            "drafted_tokens": int(total(self._exposed.drafted)),
            "accepted_tokens": int(total(self._exposed.accepted)),
            "tokens_prefilled": self._tokens_prefilled,
            "tokens_generated": self._tokens_generated,
        }

    def _prompt_tokens_by_source(self) -> dict[str, int]:
        """Of the sources that any turn named, be it with none."""
        counted = by_label(self._exposed.prompt_tokens)
        return {source: int(counted[source]) for source in self._sources}


def _by_reuse(turns: Iterable[_EndedTurn]) -> dict[str, object]:
    reports = [turn.report for turn in turns]
    return {mode.value: _summary([report for report in reports if report.reuse is mode]) for mode in ReuseMode}


def _summary(reports: list[TurnReport]) -> dict[str, object]:
    return {
        "turns": len(reports),
        "ttft_ms": _percentiles([report.ttft_ms for report in reports]),
        "prefill_ms": _percentiles([report.prefill_ms for report in reports]),
        "decode_ms_per_token": _percentiles([report.decode_ms_per_token for report in reports]),
    }


def _percentiles(values: list[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    found = np.percentile(known, _PERCENTS).round(3).tolist() if known else [None] * len(_PERCENTS)
    return {f"p{percent}": value for percent, value in zip(_PERCENTS, found, strict=True)}
