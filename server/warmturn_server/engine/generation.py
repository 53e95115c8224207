"""The caller's end of a running sequence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from .report import TokenDelta


class Generation:
    """Async iterator of `TokenDelta`, for the event loop that submitted the request; the last one has `finish` set."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._deltas: asyncio.Queue[TokenDelta | BaseException] = asyncio.Queue()
        self._ended = False
        self._on_cancel: Callable[[], None] = lambda: None

    def on_cancel(self, call: Callable[[], None]) -> None:
        self._on_cancel = call

    def push(self, delta: TokenDelta | BaseException) -> None:
        """Deliver from the engine's thread. A loop that is gone wants nothing."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deltas.put_nowait, delta)

    def cancel(self) -> None:
        """Stop at the next step; the iterator then ends with the reason "cancelled". Harmless when over."""
        self._on_cancel()

    def __aiter__(self) -> Generation:
        return self

    async def __anext__(self) -> TokenDelta:
        if self._ended:
            raise StopAsyncIteration
        delta = await self._deltas.get()
        if isinstance(delta, BaseException):
            self._ended = True
            raise delta
        self._ended = delta.finish is not None
        return delta
