"""Look-backs are made beside the running turns, yielding the processor to them."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

from ..kvcache import KVSnapshot, yield_to_others
from .lookback import Lookback, LookbackRequest, look_back
from .queries import Queries
from .sequence import Sequence

_log = logging.getLogger(__name__)


class Lookbacks:
    """One thread of low priority. It reads finished turns' state and writes none."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "warmturn-lookback", initializer=yield_to_others)

    def begin(self, sequence: Sequence) -> Future[Lookback | None] | None:
        """What a finished sequence looked at, if it was asked for that; its buffer may be used on meanwhile."""
        if sequence.request.lookback is None or sequence.queries is None:
            return None
        return self._thread.submit(_made, sequence.queries, sequence.kv.snapshot(), sequence.request.lookback)

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
