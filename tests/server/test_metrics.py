"""What `/v1/stats` says while turns run."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.server.chat.fake_engine import report_on

from warmturn_server.engine_api import ControlMode, GenerationRequest, TurnReport
from warmturn_server.metrics import Metrics
from warmturn_server.metrics import stats as module


def totals(metrics: Metrics) -> dict[str, Any]:
    return cast(dict[str, Any], metrics.snapshot()["totals"])


def test_a_running_turn_shows_in_the_token_totals() -> None:
    """They are what rates are made of: a long reply must not look like an idle server until it ends."""
    metrics = Metrics()
    metrics.turns.step(1, 40, 0.1, 0.1)
    assert (totals(metrics)["turns"], totals(metrics)["tokens_prefilled"]) == (0, 40)
    for _ in range(3):
        metrics.turns.token(0.01)
        metrics.turns.step(1, 1, 0.1, 0.1)
    assert (totals(metrics)["tokens_prefilled"], totals(metrics)["tokens_generated"]) == (40, 3)
    metrics.turns.token(0.01)
    metrics.turns.step(2, 1 + 16, 0.1, 0.1)
    assert (totals(metrics)["tokens_prefilled"], totals(metrics)["tokens_generated"]) == (56, 4)


def test_recent_turns_are_those_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    metrics = Metrics()
    for clock.now in (1000.0, 1001.0, 1060.5):
        metrics.turns.turn_finished(report_on(GenerationRequest((1, 2))), 3, "stop")
    shown = cast(dict[str, Any], metrics.snapshot())
    assert shown["uptime_seconds"] == 60.5
    assert (shown["by_reuse"]["state"]["turns"], shown["recent"]["by_reuse"]["state"]["turns"]) == (3, 2)


def test_a_source_shows_once_a_turn_has_named_it() -> None:
    """Be it with none: who asks for shares finds every tier there is."""
    metrics = Metrics()
    assert metrics.snapshot()["prompt_tokens_by_source"] == {}
    report = replace(report_on(GenerationRequest((1, 2, 3))), cached_by_tier={"resident": 2, "disk": 0})
    metrics.turns.turn_finished(report, 0, "cancelled")
    assert metrics.snapshot()["prompt_tokens_by_source"] == {"resident": 2, "disk": 0, "computed": 3}


def test_both_show_the_same_count() -> None:
    metrics = Metrics()
    metrics.turns.turn_finished(report_on(GenerationRequest((1, 2, 3))), 4, "stop")
    metrics.turns.saving_measured(-0.25)
    metrics.turns.conversation_continued("ram")
    metrics.controls.control_dropped("memory")
    shown, text = cast(dict[str, Any], metrics.snapshot()), metrics.exposition().decode()
    assert shown["totals"] | {"turns": 1, "prompt_tokens": 3, "output_tokens": 4} == shown["totals"]
    assert 'warmturn_turns_total{finish_reason="stop",reuse="state"} 1.0' in text
    assert "warmturn_generation_tokens_total 4.0" in text
    assert shown["saved_seconds"]["measured"] == {"value": -0.25, "ci95": None, "turns": 1}
    assert 'warmturn_lost_seconds_total{source="measured"} 0.25' in text
    assert 'warmturn_gained_seconds_total{source="measured"} 0.0' in text
    assert (shown["conversation_turns"], shown["misses"]) == ({"ram": 1}, {})
    assert 'warmturn_conversation_turns_total{held="ram"} 1.0' in text
    assert shown["controls"]["dropped"] == {"memory": 1}
    assert 'warmturn_control_turns_dropped_total{reason="memory"} 1.0' in text


def reused(saved_ms: float | None, ci95: tuple[float, float] | None = None, cached_tokens: int = 2) -> TurnReport:
    report = report_on(GenerationRequest((1, 2, 3), known_tokens=cached_tokens))
    return replace(report, saved_ms=saved_ms, saved_ms_ci95=ci95)


def test_what_was_saved_is_a_sum_of_gains_and_losses_with_an_interval() -> None:
    metrics = Metrics()
    assert estimated(metrics) == {"value": None, "ci95": None, "turns": 0, "unknown_turns": 0}
    for report in (reused(1500.0, (1000.0, 2000.0)), reused(-500.0, (-750.0, 250.0)), reused(None)):
        metrics.turns.turn_finished(report, 3, "stop")
    assert estimated(metrics) == {"value": 1.0, "ci95": [0.25, 2.25], "turns": 2, "unknown_turns": 1}
    text = metrics.exposition().decode()
    assert 'warmturn_gained_seconds_total{source="estimated"} 1.5' in text
    assert 'warmturn_lost_seconds_total{source="estimated"} 0.5' in text


def test_a_turn_that_reused_nothing_is_none_that_saved_nothing() -> None:
    """But one that waited for state in vain lost what it waited."""
    metrics = Metrics()
    metrics.turns.turn_finished(reused(0.0, cached_tokens=0), 3, "stop")
    assert estimated(metrics)["turns"] == 0
    metrics.turns.turn_finished(reused(-75.0, cached_tokens=0), 3, "stop")
    assert estimated(metrics) == {"value": -0.075, "ci95": [-0.075, -0.075], "turns": 1, "unknown_turns": 0}


def estimated(metrics: Metrics) -> dict[str, Any]:
    saved = cast(dict[str, dict[str, Any]], metrics.snapshot()["saved_seconds"])
    return saved["estimated"]


def test_what_was_measured_has_an_interval_from_the_second_turn_on() -> None:
    metrics = Metrics()
    for seconds in (1.0, 2.0, 1.5):
        metrics.turns.saving_measured(seconds)
    measured = cast(dict[str, Any], metrics.snapshot()["saved_seconds"])["measured"]
    assert (measured["value"], measured["turns"]) == (4.5, 3)
    low, high = measured["ci95"]
    assert (low, high) == (pytest.approx(4.5 - 3.73, abs=0.01), pytest.approx(4.5 + 3.73, abs=0.01))


def test_a_control_that_was_sooner_than_reuse_is_counted_apart() -> None:
    metrics = Metrics()
    metrics.controls.turn_recomputed(ControlMode.REPLACE, 2.0, 1.9, 1.5)
    metrics.controls.turn_recomputed(ControlMode.REPLACE, 1.0, 1.9, 1.25)
    text = metrics.exposition().decode()
    assert 'warmturn_control_spent_seconds_total{mode="replace"} 0.5' in text
    assert 'warmturn_control_spared_seconds_total{mode="replace"} 0.25' in text
    assert cast(dict[str, Any], metrics.snapshot()["controls"])["cost_seconds"]["replace"] == 0.25


def test_a_whole_turn_lasts_to_its_last_token() -> None:
    metrics = Metrics()
    report = replace(report_on(GenerationRequest((1, 2))), ttft_ms=100.0, decode_ms_per_token=20.0)
    metrics.turns.turn_finished(report, 6, "stop")
    metrics.turns.turn_finished(replace(report, ttft_ms=None), 0, "cancelled")
    assert 'warmturn_turn_seconds_sum{reuse="state"} 0.2' in metrics.exposition().decode()
