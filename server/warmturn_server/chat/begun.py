"""Marks in the log of turns that go on without a listener: of one that ended with its server, that it was begun.

A mark is a conversation of nobody's, without items: a lease on it tells all servers whether its turn still runs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from threading import Thread
from typing import Final

from ..errors import Conflict
from .model import Conversation, ConversationId, TurnId, TurnRequest, new_turn_id
from .storage.locks import ConversationLocks, Lease
from .storage.store import ConversationStore, StoreFailed

_NOBODY: Final = "\x1fbegun\x1f"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that is not in the log. `facts`: what it was asked to go on from; of what was said there is nothing."""

    turn_id: TurnId
    created_at: int
    facts: Mapping[str, str]
    runs_elsewhere: bool

    def refuse_elsewhere(self) -> None:
        """Raises Conflict where another server is at work on it."""
        if self.runs_elsewhere:
            raise Conflict(
                "Another server makes this response: only there it can be listened to and ended. Ask for it without "
                "stream until it is over, or route by the header X-Warmturn-Response.",
                code="response_elsewhere",
            )


class BegunTurns:
    def __init__(self, store: ConversationStore, locks: ConversationLocks) -> None:
        self._store = store
        self._locks = locks
        self._held: dict[tuple[str, TurnId], Lease] = {}

    @asynccontextmanager
    async def marked(self, request: TurnRequest) -> AsyncIterator[TurnRequest]:
        """With an id that is in the log before anybody is told, if it asks for that. Raises StoreFailed."""
        if not request.background:
            yield request
            return
        turn_id = request.turn_id or new_turn_id()
        try:
            await self._begin(turn_id, request)
            yield replace(request, turn_id=turn_id)
        except BaseException:
            self.ended(request.tenant, turn_id, is_wanted=False)
            raise

    def written(self, tenant: str, turn_id: TurnId) -> None:
        """It is in the log. Not on the event loop."""
        if (tenant, turn_id) in self._held:
            self.remove(tenant, turn_id)

    def ended(self, tenant: str, turn_id: TurnId, *, is_wanted: bool) -> None:
        """It runs no more. Wanted and not in the log, it has failed, and its mark stays to say so."""
        if (lease := self._held.pop((tenant, turn_id), None)) is None:
            return
        if is_wanted:
            self._locks.release(lease)
        else:
            Thread(target=self._remove_held, args=(tenant, turn_id, lease), daemon=True).start()

    async def find(self, tenant: str, turn_id: TurnId) -> Begun | None:
        name = ConversationId(turn_id)
        mark = await asyncio.to_thread(self._store.conversation, _NOBODY + tenant, name)
        if mark is None:
            return None
        return Begun(turn_id, mark.created_at, mark.metadata, await self._locks.is_held(_NOBODY + tenant, name))

    async def find_ended(self, tenant: str, turn_id: TurnId) -> Begun | None:
        """Raises Conflict where another server is at work on it."""
        begun = await self.find(tenant, turn_id)
        if begun:
            begun.refuse_elsewhere()
        return begun

    async def forget(self, tenant: str, turn_id: TurnId) -> bool:
        """Whether there was a mark of it. Raises Conflict where it still runs."""
        there = await self.find_ended(tenant, turn_id) is not None
        if there:
            await asyncio.to_thread(self.remove, tenant, turn_id)
        return there

    async def _begin(self, turn_id: TurnId, request: TurnRequest) -> None:
        tenant, name, now = _NOBODY + request.tenant, ConversationId(turn_id), int(time.time())
        places = {"conversation": request.conversation_id, "previous_response": request.previous_response_id}
        facts = {place: named for place, named in places.items() if named}
        if await asyncio.to_thread(self._store.conversation, tenant, name) is None:  # it was begun before, and lost
            await asyncio.to_thread(self._store.create, Conversation(name, now, now, facts, tenant=tenant))
        self._held[request.tenant, turn_id] = await self._locks.acquire(tenant, name)

    def remove(self, tenant: str, turn_id: TurnId) -> None:
        """Not on the event loop. A mark that stays behind says nothing while its turn is in the log."""
        try:
            self._store.delete_conversation(_NOBODY + tenant, ConversationId(turn_id))
        except StoreFailed as error:
            _log.warning("the mark of %s stays in the log: %s", turn_id, error)

    def _remove_held(self, tenant: str, turn_id: TurnId, lease: Lease) -> None:
        self.remove(tenant, turn_id)
        self._locks.release(lease)
