"""Waiting for what comes about by itself."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], otherwise: str, seconds: float = 30) -> T:
    """The first true answer of `condition`, which is asked again and again; `otherwise` is the failure's message."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)
    return answer
