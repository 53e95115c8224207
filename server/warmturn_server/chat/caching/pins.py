"""Conversations whose state is to stay for a time, because somebody said so by a call."""

from __future__ import annotations

import asyncio
from functools import partial

from ...engine_api import GenerationRequest, Keeping, Promised, PromiseRequest, SamplingParams, Stretch
from ...engine_api.engine import TurnEngine
from ...engine_api.promise import PIN
from ...errors import InvalidRequest, Overloaded, PromiseRefused
from ..context import ContextReader
from ..history import find_conversation
from ..model import Conversation, ConversationId
from ..storage.locks import ConversationLocks, holding
from ..storage.store import ConversationStore


class Pins:
    """One a conversation, of all that its next turn goes on from; a later one takes its place."""

    def __init__(
        self, store: ConversationStore, engine: TurnEngine, locks: ConversationLocks, reader: ContextReader
    ) -> None:
        self._store = store
        self._engine = engine
        self._locks = locks
        self._reader = reader

    def of(self, conversation_id: ConversationId) -> Promised | None:
        return self._engine.promised(_name(conversation_id))

    async def pin(self, tenant: str, conversation_id: ConversationId, seconds: int) -> Conversation:
        """Answers when the state is where it will stay; what of it is saved nowhere is computed again."""
        async with holding(self._locks, tenant, conversation_id):
            conversation = await self._find(tenant, conversation_id)
            token_ids = await asyncio.to_thread(self._reader.computed_ids, tenant, conversation_id)
            if not token_ids:
                raise InvalidRequest("There is no state to pin yet: the conversation has no answered turn.")
            name = _name(conversation_id)
            stretches = (Stretch(len(token_ids), seconds),)
            try:
                await self._promise(PromiseRequest(name, tenant, token_ids, stretches, owner=conversation_id))
                promised = await asyncio.to_thread(partial(self._engine.settle, name, if_saved=True))
                if promised is None:
                    await self._compute(tenant, token_ids)
                    promised = await asyncio.to_thread(self._engine.settle, name)
            finally:
                self._engine.withdraw(name)
        if promised is None:
            raise Overloaded("The state could not be saved, so it is not pinned; see the server's log.")
        return conversation

    async def release(self, tenant: str, conversation_id: ConversationId) -> Conversation:
        """Its state may leave as any other from now on."""
        conversation = await self._find(tenant, conversation_id)
        await asyncio.to_thread(self._engine.release, _name(conversation_id))
        return conversation

    async def _find(self, tenant: str, conversation_id: ConversationId) -> Conversation:
        return await asyncio.to_thread(find_conversation, self._store, tenant, conversation_id)

    async def _promise(self, request: PromiseRequest) -> None:
        try:
            await asyncio.to_thread(self._engine.promise, request)
        except PromiseRefused as error:
            error.param = "ttl"
            raise

    async def _compute(self, tenant: str, token_ids: tuple[int, ...]) -> None:
        request = GenerationRequest(
            token_ids, SamplingParams(max_tokens=1), tenant=tenant, prewarm=True, keeping=Keeping(promised=True)
        )
        async for _ in self._engine.submit(request):
            pass


def _name(conversation_id: ConversationId) -> str:
    return f"{PIN} {conversation_id}"
