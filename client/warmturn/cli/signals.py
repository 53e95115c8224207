"""Ways to end a command from outside: SIGTERM and a closed terminal leave through the same doors as Ctrl-C."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_PATIENCE_SECONDS = 3.0

_Handler = Callable[[int, FrameType | None], None]


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise SystemExit, so that what the block has opened is closed."""
    with _handling((signal.SIGTERM, signal.SIGHUP), _leave):
        yield


@contextmanager
def ending_for_sure() -> Iterator[None]:
    """The same for blocks that wait for a server: there an exception out of a signal may strike where a library has
    just taken a lock, and the way out then waits for that lock. Until the block is left, it is raised again and again.
    """
    first: list[int] = []

    def leave_again(number: int, frame: FrameType | None) -> None:
        if not first:
            first.append(number)
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_SECONDS, _PATIENCE_SECONDS)
        _leave(first[0], frame)

    with _handling((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM), leave_again):
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _leave(number: int, _: FrameType | None) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


@contextmanager
def _handling(numbers: tuple[signal.Signals, ...], handler: _Handler) -> Iterator[None]:
    """Signals that are ignored, as `nohup` does it, stay ignored."""
    replaced = {number: before for number in numbers if (before := signal.getsignal(number)) is not signal.SIG_IGN}
    for number in replaced:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in replaced.items():
            signal.signal(number, before)
