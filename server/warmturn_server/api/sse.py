"""Server-sent events of one turn, and what happens when nobody listens any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from .errors import error_in_stream
from .json import encode

PING_SECONDS: Final = 15.0
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
DONE: Final = b"data: [DONE]\n\n"


class Running(Protocol):
    """What is told while it runs, and stops where nobody listens."""

    @property
    def id(self) -> str: ...

    def close(self) -> None: ...


def turn_headers(turn: Running) -> dict[str, str]:
    """Names the turn before its first byte: a balancer then knows which server can stop it, or go on from it."""
    return {"X-Warmturn-Response": turn.id}


def named_event(name: str, data: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + encode(data) + b"\n\n"


def data_event(data: object) -> bytes:
    return b"data: " + encode(data) + b"\n\n"


async def until_done(name: str, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """As streams of completions end: a failure is told as an event, then that it is over."""
    try:
        async for event in events:
            yield event
    except Exception as error:
        yield data_event({"error": error_in_stream(name, error)})
    yield DONE


def replay(events: Iterable[bytes]) -> Response:
    """Of what is over: nobody waits for any of it."""
    return Response(b"".join(events), media_type="text/event-stream", headers=_HEADERS)


class EventStream(StreamingResponse):
    """Sends `events`; whatever ends it, the turn is closed, and with it stops if it is not over.

    A client that goes away has the turn closed, and that ends its events. Starlette would cancel the task that sends
    them: anyio keeps such an exception in a cycle, and with it all that the task knew, until somebody collects garbage.
    """

    def __init__(self, turn: Running, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={**_HEADERS, **turn_headers(turn)})
        self._turn = turn
        self._last_sent = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        watcher = asyncio.create_task(close_on_disconnect(receive, self._turn))
        try:
            await self.stream_response(send)
        finally:
            watcher.cancel()
            self._turn.close()

    async def stream_response(self, send: Send) -> None:
        """With a comment now and then while the turn waits, so that no proxy takes the connection for dead."""

        async def timed(message: Message) -> None:
            self._last_sent = time.monotonic()
            await send(message)

        pings = asyncio.create_task(self._ping(send))
        try:
            await super().stream_response(timed)
        finally:
            pings.cancel()

    async def _ping(self, send: Send) -> None:
        while True:
            silent = time.monotonic() - self._last_sent
            if silent >= PING_SECONDS:
                self._last_sent = time.monotonic()
                await send({"type": "http.response.body", "body": b": ping\n\n", "more_body": True})
            else:
                await asyncio.sleep(PING_SECONDS - silent)


@asynccontextmanager
async def closed_on_disconnect(receive: Receive, turn: Running) -> AsyncIterator[None]:
    """For a reply in one piece: the turn is closed at the end, and when its client goes away before that."""
    watcher = asyncio.create_task(close_on_disconnect(receive, turn))
    try:
        yield
    finally:
        watcher.cancel()
        turn.close()


async def close_on_disconnect(receive: Receive, turn: Running) -> None:
    """Nothing else would notice that the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    turn.close()
