"""Conversations and their items, apart from generating: made, read, forked, changed, deleted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from ..engine_api.engine import TurnEngine
from .context import ContextReader
from .history import conversation_not_found, find_conversation, find_item
from .model import (
    Conversation,
    ConversationId,
    Item,
    ItemId,
    Turn,
    new_conversation_id,
    new_turn_id,
    visible_items,
    visible_turns,
)
from .recent_misses import RecentMisses
from .storage.invalidation import Invalidations
from .storage.locks import ConversationLocks, Lease, holding
from .storage.store import Append, ConversationStore, Forgotten, Page, StoreCorrupt

_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Prefetch:
    """What is done to bring a conversation's state here; where it is now is None while that is not known."""

    status: Literal["warm", "started", "nothing_saved", "skipped"]
    num_tokens: int
    tokens_by_tier: dict[str, int] | None = None


class Conversations:
    def __init__(
        self,
        store: ConversationStore,
        engine: TurnEngine,
        locks: ConversationLocks,
        reader: ContextReader,
        misses: RecentMisses,
        invalidations: Invalidations,
    ) -> None:
        self._store = store
        self._engine = engine
        self._locks = locks
        self._misses = misses
        self._invalidations = invalidations
        self._reader = reader

    async def create(
        self,
        tenant: str,
        items: Sequence[Item],
        metadata: Mapping[str, str],
        conversation_id: ConversationId | None = None,
    ) -> Conversation:
        """`conversation_id`: where it has one already; if there is one of that name, it was made before."""
        if conversation_id and (made := await asyncio.to_thread(self._store.conversation, tenant, conversation_id)):
            return made
        now = int(time.time())
        conversation = Conversation(conversation_id or new_conversation_id(), now, now, metadata, tenant=tenant)
        append = _added(conversation, items) if items else None
        await asyncio.to_thread(self._store.create, conversation, append)
        return conversation

    async def get(self, tenant: str, conversation_id: ConversationId) -> Conversation:
        return await asyncio.to_thread(find_conversation, self._store, tenant, conversation_id)

    async def page(self, tenant: str, page: Page) -> list[Conversation]:
        """One more than asked for, if there is one: that tells whether there are more."""
        return await asyncio.to_thread(self._store.conversations, tenant, replace(page, limit=page.limit + 1))

    async def set_metadata(
        self, tenant: str, conversation_id: ConversationId, metadata: Mapping[str, str]
    ) -> Conversation:
        changed = await asyncio.to_thread(self._store.set_metadata, tenant, conversation_id, metadata)
        if changed is None:
            raise conversation_not_found(conversation_id)
        return changed

    async def delete(self, tenant: str, conversation_id: ConversationId) -> None:
        async with holding(self._locks, tenant, conversation_id):
            with suppress(StoreCorrupt):  # what is damaged can still be deleted
                await self.get(tenant, conversation_id)
            forgotten = await asyncio.to_thread(self._store.delete_conversation, tenant, conversation_id)
        self._misses.forget_conversation(tenant, conversation_id)
        self._engine.abandon(tenant, conversation_id)
        await asyncio.to_thread(self._engine.release_of, conversation_id)
        await self.forget(tenant, forgotten)

    async def items(self, tenant: str, conversation_id: ConversationId) -> list[Item]:
        """Oldest first."""
        return await asyncio.to_thread(self._items, tenant, conversation_id)

    async def turns(self, tenant: str, conversation_id: ConversationId) -> list[Turn]:
        """Those that were answered and are still part of what the conversation says, oldest first."""
        return await asyncio.to_thread(self._answered_turns, tenant, conversation_id)

    async def item(self, tenant: str, conversation_id: ConversationId, item_id: ItemId) -> Item:
        return find_item(await self.items(tenant, conversation_id), item_id)

    async def add_items(self, tenant: str, conversation_id: ConversationId, items: Sequence[Item]) -> None:
        async with holding(self._locks, tenant, conversation_id) as lease:
            await asyncio.to_thread(self._add_items, tenant, conversation_id, items, lease)

    async def delete_item(self, tenant: str, conversation_id: ConversationId, item_id: ItemId) -> Conversation:
        async with holding(self._locks, tenant, conversation_id):
            await self.item(tenant, conversation_id, item_id)
            conversation = await self.get(tenant, conversation_id)
            hide = self._store.hide_item
            forgotten = await asyncio.to_thread(hide, tenant, conversation_id, item_id, conversation.version)
        self._misses.forget_conversation(tenant, conversation_id)
        await self.forget(tenant, forgotten)
        return await self.get(tenant, conversation_id)

    async def fork(
        self,
        tenant: str,
        conversation_id: ConversationId,
        item_id: ItemId | None,
        metadata: Mapping[str, str] | None,
    ) -> Conversation:
        """A new conversation on the same turns, up to and with `item_id`; nothing is copied."""
        return await asyncio.to_thread(self._fork, tenant, conversation_id, item_id, metadata)

    async def prefetch(self, tenant: str, conversation_id: ConversationId) -> Prefetch:
        """Have the saved state brought here before the next turn; does not wait for that."""
        token_ids = await asyncio.to_thread(self._reader.computed_ids, tenant, conversation_id)
        if not token_ids:
            return Prefetch("nothing_saved", 0, {})
        asked = asyncio.ensure_future(self._engine.prefetch(tenant, token_ids))
        try:
            located = await asyncio.wait_for(asyncio.shield(asked), _LOOK_SECONDS)
        except TimeoutError:
            return Prefetch("started", len(token_ids))
        if located is None:
            return Prefetch("skipped", len(token_ids))
        return Prefetch(located.status, len(token_ids), located.tokens_by_tier)

    async def forget(self, tenant: str, forgotten: Sequence[Forgotten]) -> None:
        """Saved state of what was deleted goes too, and soon at the other servers."""
        gone = [await asyncio.to_thread(self._reader.still_shared, entry, tenant) for entry in forgotten]
        for entry in gone:
            await asyncio.to_thread(self._engine.forget, tenant, entry.record.token_ids, entry.shared_tokens)
        keys = await asyncio.to_thread(self._block_keys, tenant, gone)
        await asyncio.to_thread(self._invalidations.emit, tenant, keys)

    def _block_keys(self, tenant: str, forgotten: Sequence[Forgotten]) -> list[bytes]:
        ask = self._engine.block_keys
        keys = (ask(tenant, entry.record.token_ids, entry.shared_tokens) for entry in forgotten)
        return list(dict.fromkeys(key for own in keys for key in own))

    def _items(self, tenant: str, conversation_id: ConversationId) -> list[Item]:
        conversation = find_conversation(self._store, tenant, conversation_id)
        return visible_items(self._turns(conversation), conversation.hidden)

    def _answered_turns(self, tenant: str, conversation_id: ConversationId) -> list[Turn]:
        conversation = find_conversation(self._store, tenant, conversation_id)
        turns = visible_turns(self._turns(conversation), conversation.hidden)
        return [turn for turn in turns if turn.reply]

    def _turns(self, conversation: Conversation) -> list[Turn]:
        return self._store.turns(conversation.tenant, conversation.head) if conversation.head else []

    def _add_items(self, tenant: str, conversation_id: ConversationId, items: Sequence[Item], lease: Lease) -> None:
        conversation = find_conversation(self._store, tenant, conversation_id)
        before = visible_turns(self._turns(conversation), conversation.hidden)
        self._store.append(replace(_added(conversation, items, before[-1] if before else None), lease=lease))
        self._locks.committed(lease)

    def _fork(
        self,
        tenant: str,
        conversation_id: ConversationId,
        item_id: ItemId | None,
        metadata: Mapping[str, str] | None,
    ) -> Conversation:
        origin = find_conversation(self._store, tenant, conversation_id)
        turns = visible_turns(self._turns(origin), origin.hidden)
        hidden = origin.hidden
        if item_id is not None:
            find_item(visible_items(turns, hidden), item_id)
            turns, cut_off = _up_to(turns, item_id)
            hidden |= cut_off
        now = int(time.time())
        fork = Conversation(
            id=new_conversation_id(),
            created_at=now,
            updated_at=now,
            metadata=origin.metadata if metadata is None else metadata,
            head=turns[-1].id if turns else None,
            hidden=hidden,
            tenant=tenant,
        )
        self._store.create(fork)
        return fork


def _added(conversation: Conversation, items: Sequence[Item], parent: Turn | None = None) -> Append:
    turn = Turn(
        id=new_turn_id(),
        parent_id=parent.id if parent else None,
        conversation_id=conversation.id,
        created_at=int(time.time()),
        input=tuple(items),
        tenant=conversation.tenant,
    )
    return Append(turn=turn, conversation=conversation.id, expected_version=conversation.version)


def _up_to(turns: Sequence[Turn], item_id: ItemId) -> tuple[list[Turn], frozenset[ItemId]]:
    """The turns as far as the one with that item, and the items of that turn behind it."""
    ids = [[item.id for item in turn.items] for turn in turns]
    number = next(number for number, own in enumerate(ids) if item_id in own)
    return list(turns[: number + 1]), frozenset(ids[number][ids[number].index(item_id) + 1 :])
