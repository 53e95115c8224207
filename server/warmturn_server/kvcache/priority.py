"""Background threads give way to the thread that runs the model."""

from __future__ import annotations

import contextlib
import os
import threading

from ..threads import compute_with

_NICENESS = 10


def yield_to_others() -> None:
    """Have the calling thread compute without helpers, and at low priority where threads have one: on Linux."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
    compute_with(1)
