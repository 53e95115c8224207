"""Responses that are made whether or not anybody listens: their events are kept for a while, for who comes later."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Annotated, Final, cast

from fastapi import Depends, Request

from ...chat import ConversationId, Item, RunningTurn, Turn, TurnId
from ..growing import Growing
from ..json import Json
from .body import running_response
from .events import ResponseEvents

KEPT_SECONDS: Final = 600.0
MAX_BYTES: Final = 64 * 2**20


class EventLog:
    """The events of one response, each by its number, from 0. It listens to the turn, and lets it go at the end."""

    def __init__(self, turn: RunningTurn, told: ResponseEvents) -> None:
        self.turn_id, self.tenant = turn.id, turn.request.tenant
        self.conversation_id = turn.request.conversation_id
        self.events = Growing[bytes]()
        self.num_bytes = 0
        self._turn: RunningTurn | None = turn
        self._ending: Json = {}
        self._written: tuple[Item, ...] | None = None
        self.task = asyncio.create_task(self._follow(turn, told))

    @property
    def is_over(self) -> bool:
        return self.events.is_whole

    @property
    def is_written(self) -> bool:
        """Whether it is in the log of conversations, or was until it was deleted."""
        return self._written is not None

    @property
    def response(self) -> Json:
        """As it is now."""
        if (turn := self._turn) is None:
            return self._ending
        return {**running_response(turn), "status": "in_progress" if turn.has_begun else "queued"}

    def tells(self, turn: Turn) -> bool:
        """Whether what was told is still what the log has: items of a conversation can be deleted."""
        return self._written == turn.items

    async def _follow(self, turn: RunningTurn, told: ResponseEvents) -> None:
        try:
            async for event in told:
                self.events.add(event)
                self.num_bytes += len(event)
        finally:
            turn.close()
            self._written = turn.result.items if turn.is_written else None
            self._ending, self._turn = told.ending or {}, None
            self.events.finish()


class Background:
    """All of this server's: those that run, and for a while those that are over, within a number of bytes."""

    def __init__(self, kept_seconds: float = KEPT_SECONDS, max_bytes: int = MAX_BYTES) -> None:
        self._kept_seconds = kept_seconds
        self._max_bytes = max_bytes
        self._running: dict[tuple[str, TurnId], EventLog] = {}
        self._over: OrderedDict[tuple[str, TurnId], EventLog] = OrderedDict()

    def begin(self, turn: RunningTurn, events: ResponseEvents) -> EventLog:
        log = EventLog(turn, events)
        key = log.tenant, log.turn_id
        self._running[key] = log
        log.task.add_done_callback(lambda _: self._ended(key))
        return log

    def get(self, tenant: str, turn_id: TurnId) -> EventLog | None:
        return self._running.get((tenant, turn_id)) or self._over.get((tenant, turn_id))

    def forget(self, tenant: str, turn_id: TurnId) -> bool:
        """Whether there was anything of it."""
        found = [logs.pop((tenant, turn_id), None) for logs in (self._running, self._over)]
        return any(found)

    def forget_conversation(self, tenant: str, conversation_id: ConversationId) -> None:
        """Something of it was deleted, and these may tell of it."""
        for key, log in list(self._over.items()):
            if (log.tenant, log.conversation_id) == (tenant, conversation_id):
                del self._over[key]

    def _ended(self, key: tuple[str, TurnId]) -> None:
        if (log := self._running.pop(key, None)) is None:
            return
        self._over[key] = log
        asyncio.get_running_loop().call_later(self._kept_seconds, self._over.pop, key, None)
        while sum(log.num_bytes for log in self._over.values()) > self._max_bytes:
            self._over.popitem(last=False)


def _background(request: Request) -> Background:
    return cast(Background, request.app.state.background)


InBackground = Annotated[Background, Depends(_background)]
