"""When Serve takes a replica away its turns finish, or end as far as they came: none is cut off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..chat.running_turns import RunningTurns

_LOOK_SECONDS: Final = 0.05


async def finish(running: RunningTurns, seconds: float) -> None:
    """Wait for all of them; after so long they end as far as they have come, and no more are taken.

    Until then new ones are: Serve goes on sending some for a moment.
    """
    deadline = time.monotonic() + seconds
    while len(running):
        if time.monotonic() >= deadline:
            running.takes_no_more = True
            await running.interrupt()
            return
        await asyncio.sleep(_LOOK_SECONDS)


class FinishFirst:
    """Waits for what runs without a request before the application is shut down."""

    def __init__(self, app: ASGIApp, finish: Callable[[], Awaitable[None]]) -> None:
        self._app = app
        self._finish = finish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, self._finishing(receive) if scope["type"] == "lifespan" else receive, send)

    def _finishing(self, receive: Receive) -> Receive:
        async def told() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._finish()
            return message

        return told
