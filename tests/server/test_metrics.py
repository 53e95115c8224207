"""What `/v1/stats` says while turns run."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.server.chat.fake_engine import report_on

from warmturn_server.engine_api import GenerationRequest
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
    assert shown["saved_seconds"] == {"estimated": 0.0, "measured": -0.25}
    assert 'warmturn_saved_seconds_total{source="measured"} -0.25' in text
    assert (shown["conversation_turns"], shown["misses"]) == ({"ram": 1}, {})
    assert 'warmturn_conversation_turns_total{held="ram"} 1.0' in text
    assert shown["controls"]["dropped"] == {"memory": 1}
    assert 'warmturn_control_turns_dropped_total{reason="memory"} 1.0' in text
