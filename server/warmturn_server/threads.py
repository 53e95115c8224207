"""How many threads torch computes with, which is a matter of the thread that calls it.

Only the engine's thread has helpers. Threads that copy and pack would gain little from any, and every further pool of
OpenMP threads takes spinning from all: with more of them than processors they sleep at once when they wait, the model's
too, and are woken up again for every product.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import torch

_Result = TypeVar("_Result")

_NICENESS = 10


def compute_with(num_threads: int) -> None:
    """Have torch use so many threads for what the calling thread computes."""
    torch.get_num_threads()  # the first time a thread asks, it takes over what any thread has set last
    torch.set_num_threads(num_threads)


def on_a_thread_of_its_own(call: Callable[[], _Result]) -> _Result:
    """What the call returns or raises. The OpenMP threads that it makes torch start end with it."""
    ended = Future[_Result]()

    def run() -> None:
        try:
            ended.set_result(call())
        except BaseException as error:
            ended.set_exception(error)

    threading.Thread(target=run, name="warmturn-start", daemon=True).start()
    return ended.result()


def yield_to_others() -> None:
    """Have the calling thread compute without helpers, and at low priority where threads have one: on Linux."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
    compute_with(1)
