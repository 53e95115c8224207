"""A turn that is answered in one piece."""

from __future__ import annotations

import asyncio

from fastapi import Request

from ..chat import RunningTurn
from ..engine import TokenLogprobs
from .sse import cancel_on_disconnect


async def collect(turn: RunningTurn, request: Request) -> list[TokenLogprobs]:
    """Runs the turn to its end and gives its log-probabilities; a client that goes away ends it."""
    watcher = asyncio.create_task(cancel_on_disconnect(request, turn))
    try:
        return [entry async for delta in turn.deltas() for entry in delta.logprobs]
    finally:
        watcher.cancel()
        turn.close()
