"""Whether an engine does what it is asked."""

import threading

from tests.server.engine.conftest import StartEngine


def test_one_that_serves_responds(start_engine: StartEngine) -> None:
    engine = start_engine()
    assert engine.responds(30)
    engine.close()
    assert not engine.responds(30), "nobody waits for a thread that is gone"


def test_one_that_is_stuck_does_not(start_engine: StartEngine) -> None:
    engine, free = start_engine(), threading.Event()

    def wait() -> None:
        free.wait(60)

    engine._inbox.put(wait)
    assert not engine.responds(0.05)
    free.set()
    assert engine.responds(30)
