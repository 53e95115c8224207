"""What other threads ask of the engine's thread: calls, made one after the other on it."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable

Call = Callable[[], None]

_log = logging.getLogger(__name__)


class Inbox:
    """`put` may be called from any thread, everything else belongs to the one that makes the calls."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()

    def put(self, call: Call) -> None:
        """Have this called, behind all that was put before."""
        self._calls.put(call)

    @property
    def empty(self) -> bool:
        return self._calls.empty()

    def run_all(self) -> None:
        """Make every call that is there by now."""
        while not self._calls.empty():
            _run(self._calls.get())

    def wait(self, timeout_seconds: float | None) -> None:
        """Make the next call, as soon as there is one; None waits for as long as it takes."""
        try:
            call = self._calls.get(timeout=timeout_seconds)
        except queue.Empty:
            return
        _run(call)


def _run(call: Call) -> None:
    """One call that goes wrong must not end the thread that serves everybody."""
    try:
        call()
    except Exception:
        _log.exception("a call to the engine failed")
