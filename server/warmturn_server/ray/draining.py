"""Seeing that Serve takes this replica away: it waits for requests, kills what takes too long, and tells nobody."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import ray._private.worker

_LOOK_SECONDS: Final = 0.25
_log = logging.getLogger(__name__)


async def await_draining() -> None:
    """Until Serve has begun to take this replica away. Where this Ray does not let that be seen, for ever."""
    replica = _own_replica()
    if not isinstance(getattr(replica, "_shutting_down", None), bool):
        _log.warning("turns that run when a replica is taken away are cut off after a while: this Ray is another one")
        await asyncio.Future()
    while not replica._shutting_down:
        await asyncio.sleep(_LOOK_SECONDS)


def _own_replica() -> Any:
    worker = ray._private.worker.global_worker
    return getattr(worker.actors.get(worker.actor_id), "_replica_impl", None)
