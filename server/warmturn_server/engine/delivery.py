"""The caller's end of a running sequence."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable

from ..engine_api.lookback import Lookback
from ..engine_api.report import TokenDelta
from .sequence import Event, Sequence

_Queue = asyncio.Queue[Event]


class Outbox:
    """Carries deltas from the engine's thread to event loops: each loop wakes up once for a step, not for each token.

    Waking a loop lets it take the interpreter's lock, and the engine's thread then waits to get it back.
    """

    def __init__(self) -> None:
        self._sent: defaultdict[asyncio.AbstractEventLoop, list[tuple[_Queue, Event]]] = defaultdict(list)

    def send(self, loop: asyncio.AbstractEventLoop, queue: _Queue, event: Event) -> None:
        """Take something along for the next `deliver`."""
        self._sent[loop].append((queue, event))

    def deliver(self) -> None:
        """Hand over what was sent since last time. A loop that is gone wants nothing."""
        while self._sent:
            loop, events = self._sent.popitem()
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_hand_over, events)


class Generation:
    """Async iterator of `TokenDelta`, for the event loop that submitted the request; the last one has `finish` set."""

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self._loop = loop
        self._outbox = outbox
        self._deltas: _Queue = asyncio.Queue()
        self._ended = False
        self._sequence: Sequence | None = None
        self._on_cancel: Callable[[], None] = lambda: None

    def follow(self, sequence: Sequence, on_cancel: Callable[[], None]) -> None:
        self._sequence, self._on_cancel = sequence, on_cancel

    def push(self, event: Event) -> None:
        """From the engine's thread; arrives when the outbox is next delivered."""
        self._outbox.send(self._loop, self._deltas, event)

    def cancel(self) -> None:
        """Stop at the next step; the iterator then ends with the reason "cancelled". Harmless when over."""
        self._on_cancel()

    async def lookback(self) -> Lookback | None:
        """What the output looked at, once all is said; None where that was not asked for or cannot be told."""
        made = self._sequence.lookback if self._sequence else None
        return await asyncio.wrap_future(made) if made else None

    def __aiter__(self) -> Generation:
        return self

    async def __anext__(self) -> TokenDelta:
        if self._ended:
            raise StopAsyncIteration
        event = await self._deltas.get()
        if isinstance(event, BaseException):
            self._ended = True
            try:
                raise event
            finally:
                del event  # or it would know this frame, and this frame it
        self._ended = event.finish is not None
        return event


def _hand_over(events: list[tuple[_Queue, Event]]) -> None:
    for queue, event in events:
        queue.put_nowait(event)
