"""Waiting for a conversation that another turn holds, as long as the server says."""

import time
from collections.abc import Callable
from typing import TypeVar

from warmturn.errors import ApiError

_T = TypeVar("_T")


def when_free(ask: Callable[[], _T], patience_seconds: float) -> _T:
    """What `ask` gives; while the server says when to ask again (`Retry-After`), it is asked again then.

    Raises what `ask` raises: at once if it is anything else, and when the wait would take longer than that in all.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return ask()
        except ApiError as error:
            wait = error.retry_after_seconds
            if error.code != "conversation_locked" or wait is None or time.monotonic() + wait > deadline:
                raise
        time.sleep(wait)
