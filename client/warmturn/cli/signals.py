"""Ways to end a command from outside."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal leave through the same doors as Ctrl-C, so that an own server ends with us."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    replaced = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
