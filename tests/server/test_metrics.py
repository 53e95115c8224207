"""What `/v1/stats` says while turns run."""

from typing import Any, cast

from warmturn_server.metrics import Metrics


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
