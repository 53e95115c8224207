"""Control turns in tests: waiting for them, and what became of them."""

from typing import Any

from tests.support.waiting import wait_until

from warmturn_server.engine import Engine
from warmturn_server.metrics.controls import ControlMetrics


def controls_of(engine: Engine) -> dict[str, Any]:
    """The parts `controls` and `audits` of `/v1/stats`."""
    observer = engine._controls.observer
    assert isinstance(observer, ControlMetrics)
    return observer.snapshot()


def audited(engine: Engine, count: int = 1) -> dict[str, Any]:
    """The part `audits`, once so many audits have a verdict and everything that follows from it is done."""
    wait_until(
        lambda: num_audits(engine) >= count and not engine.num_controls_waiting,
        "the audits did not come to an end",
        seconds=120,
    )
    engine.flush()
    audits: dict[str, Any] = controls_of(engine)["audits"]
    return audits


def num_audits(engine: Engine) -> int:
    audits = controls_of(engine)["audits"]
    return int(audits["clean"] + audits["breach"] + audits["inconclusive"])
