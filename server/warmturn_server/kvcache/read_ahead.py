"""What is asked for in order, the next of it on its way while one is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_READ_AHEAD = 2

_T = TypeVar("_T")


def read_ahead(
    threads: ThreadPoolExecutor, reads: Iterable[Callable[[], _T]], wait: Callable[[Future[_T]], _T] = Future.result
) -> Iterator[_T]:
    """What each read returns, in their order; `wait` raises when that is not worth waiting for any longer.

    What was begun for who wants no more ends by itself.
    """
    rest = iter(reads)
    ahead = deque(threads.submit(read) for read in islice(rest, _READ_AHEAD))
    try:
        while ahead:
            found = wait(ahead.popleft())
            ahead.extend(threads.submit(read) for read in islice(rest, 1))
            yield found
    finally:
        for future in ahead:
            future.cancel()
