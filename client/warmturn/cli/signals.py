"""Ways to end a command from outside: SIGTERM and a closed terminal leave through the same doors as Ctrl-C."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

from warmturn.handling import ENDING, Handler, handling

_BEAT_SECONDS = 1.0
_PATIENCE_SECONDS = 3.0


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise SystemExit, so that what the block has opened is closed."""
    with handling((signal.SIGTERM, signal.SIGHUP), _leave):
        yield


@contextmanager
def noticing_signals() -> Iterator[None]:
    """For blocks that wait for a server. Python looks for signals between two steps of its own, so one that comes in
    the moment before a blocking call would wait as long as the call does: a beat wakes the call up. One is enough.
    """
    with nullcontext() if callable(signal.getsignal(signal.SIGALRM)) else _beat(lambda _number, _frame: None):
        yield


@contextmanager
def ending_for_sure() -> Iterator[None]:
    """All of that. And an exception out of a signal may strike where a library has just taken a lock, and the way out
    then waits for that lock: until the block is left, it is raised again and again.
    """
    first: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        if not first:
            first.append(number)
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_SECONDS, _PATIENCE_SECONDS)
        _leave(first[0], frame)

    def leave_again(_: int, frame: FrameType | None) -> None:
        if first:
            _leave(first[0], frame)

    with handling(ENDING, leave), _beat(leave_again):
        yield


@contextmanager
def _beat(handler: Handler) -> Iterator[None]:
    with handling((signal.SIGALRM,), handler):
        around = signal.setitimer(signal.ITIMER_REAL, _BEAT_SECONDS, _BEAT_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, *around)


def _leave(number: int, _: FrameType | None) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
