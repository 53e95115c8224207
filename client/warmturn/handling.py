"""Other handlers for signals, as long as a block lasts."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a command from outside: Ctrl-C, `kill`, a terminal that is closed."""


@contextmanager
def handling(numbers: tuple[signal.Signals, ...], handler: Handler) -> Iterator[None]:
    """Signals that are ignored, as `nohup` does it, stay ignored."""
    replaced = {number: before for number in numbers if (before := signal.getsignal(number)) is not signal.SIG_IGN}
    for number in replaced:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in replaced.items():
            signal.signal(number, before)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What ends a command waits for the end of the block: what has begun to live must be known to whoever ends it."""
    if threading.current_thread() is not threading.main_thread():  # no handler runs in this one
        yield
        return
    came = list[int]()
    try:
        with handling(ENDING, lambda number, _: came.append(number)):
            yield
    finally:
        for number in came:
            signal.raise_signal(number)
