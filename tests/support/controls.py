"""Control turns in tests: waiting for them, and what became of them."""

import time
from collections.abc import Callable
from typing import Any

from warmturn_server.engine import Engine
from warmturn_server.metrics_controls import ControlMetrics

_WAIT_SECONDS = 120.0


def controls_of(engine: Engine) -> dict[str, Any]:
    """The parts `controls` and `audits` of `/v1/stats`."""
    observer = engine._controls.observer
    assert isinstance(observer, ControlMetrics)
    return observer.snapshot()


def audited(engine: Engine, count: int = 1) -> dict[str, Any]:
    """The part `audits`, once so many audits have a verdict and everything that follows from it is done."""
    await_that(lambda: num_audits(engine) >= count and not engine.num_controls_waiting)
    engine.flush()
    audits: dict[str, Any] = controls_of(engine)["audits"]
    return audits


def num_audits(engine: Engine) -> int:
    audits = controls_of(engine)["audits"]
    return int(audits["clean"] + audits["breach"] + audits["inconclusive"])


def await_that(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
