"""Look-backs are made beside the running turns, yielding the processor to them."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from ...engine_api.lookback import Lookback, LookbackRequest
from ...kvcache import KVSnapshot
from ...threads import yield_to_others
from ..model.capture import Queries
from ..sequence import Sequence
from .weights import look_back

_log = logging.getLogger(__name__)


MAX_WAITING = 16
"""Each holds on to its queries, and to its turn's state; a server that cannot follow says nothing to the next ones."""


class Lookbacks:
    """One thread of low priority. It reads finished turns' state and writes none."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "warmturn-lookback", initializer=yield_to_others)
        self._places = threading.BoundedSemaphore(MAX_WAITING)

    def begin(self, sequence: Sequence) -> Future[Lookback | None] | None:
        """What a finished sequence looked at, if it was asked for that; its buffer may be used on meanwhile."""
        if sequence.request.lookback is None or sequence.queries is None:
            return None
        if not self._places.acquire(blocking=False):
            _log.warning("%d look-backs wait already; one more is left out", MAX_WAITING)
            return None
        made = self._thread.submit(_made, sequence.queries, sequence.kv.snapshot(), sequence.request.lookback)
        made.add_done_callback(lambda _: self._places.release())
        return made

    def shutdown(self) -> None:
        """Wait for those that were begun."""
        self._thread.shutdown()


def _made(queries: Queries, snapshot: KVSnapshot, request: LookbackRequest) -> Lookback | None:
    """None, and the reason in the log, where it cannot be made: a turn's answer does not fall with its explanation."""
    try:
        return look_back(queries, snapshot, request)
    except Exception:
        _log.exception("a look-back failed")
        return None
