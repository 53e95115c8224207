"""What `/v1/stats` says while turns run."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.server.chat.fake_engine import report_on

from warmturn_server.engine_api import GenerationRequest
from warmturn_server.metrics import Metrics
from warmturn_server.metrics import prometheus as module


def totals(metrics: Metrics) -> dict[str, Any]:
    return cast(dict[str, Any], metrics.snapshot()["totals"])


def test_a_running_turn_shows_in_the_token_totals() -> None:
    """They are what rates are made of: a long reply must not look like an idle server until it ends."""
    metrics = Metrics()
    metrics.step(1, 40, 0.1, 0.1)
    assert (totals(metrics)["turns"], totals(metrics)["tokens_prefilled"]) == (0, 40)
    for _ in range(3):
        metrics.token(0.01)
        metrics.step(1, 1, 0.1, 0.1)
    assert (totals(metrics)["tokens_prefilled"], totals(metrics)["tokens_generated"]) == (40, 3)
    metrics.token(0.01)
    metrics.step(2, 1 + 16, 0.1, 0.1)
    assert (totals(metrics)["tokens_prefilled"], totals(metrics)["tokens_generated"]) == (56, 4)


def test_recent_turns_are_those_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    metrics = Metrics()
    for clock.now in (1000.0, 1001.0, 1060.5):
        metrics.turn_finished(report_on(GenerationRequest((1, 2))), 3, "stop")
    shown = cast(dict[str, Any], metrics.snapshot())
    assert shown["uptime_seconds"] == 60.5
    assert (shown["by_reuse"]["state"]["turns"], shown["recent"]["by_reuse"]["state"]["turns"]) == (3, 2)
