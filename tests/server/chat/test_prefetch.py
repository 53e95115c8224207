"""Prefetching knows a conversation's ids of record, and never waits."""

from concurrent.futures import Future

import pytest
from tests.server.chat.driver import Chat

from warmturn_server.chat import ConversationId
from warmturn_server.engine_api import Located
from warmturn_server.errors import NotFound


async def test_the_ids_that_the_next_turn_goes_on_from(chat: Chat) -> None:
    conversation = await chat.new()
    for text in ("who?", "where?"):
        await chat.say(text, conversation_id=conversation.id)
    prefetch = await chat.service.conversations.prefetch("", conversation.id)
    await chat.say("when?", conversation_id=conversation.id)
    (fetched,) = chat.engine.prefetched
    assert prefetch.num_tokens == len(fetched) == chat.engine.requests[-1].known_tokens
    assert chat.engine.requests[-1].token_ids[: len(fetched)] == fetched


async def test_an_undone_turn_is_not_prefetched(chat: Chat) -> None:
    conversation = await chat.new()
    await chat.say("who?", conversation_id=conversation.id)
    undone = await chat.say("where?", conversation_id=conversation.id)
    for item in undone.items:
        await chat.service.conversations.delete_item("", conversation.id, item.id)
    await chat.service.conversations.prefetch("", conversation.id)
    assert len(chat.engine.prefetched[0]) < len(chat.engine.requests[-1].token_ids)


async def test_what_the_engine_does_not_know_yet_is_none_and_nobody_waits_for_it(chat: Chat) -> None:
    conversation = await chat.new()
    await chat.say("who?", conversation_id=conversation.id)
    prefetch = await chat.service.conversations.prefetch("", conversation.id)
    assert (prefetch.status, prefetch.tokens_by_tier) == ("started", None)
    assert chat.engine.located is not None
    assert not chat.engine.located.cancelled()


@pytest.mark.parametrize("status", ["warm", "started", "nothing_saved"])
async def test_what_it_knows_is_told(chat: Chat, status: str) -> None:
    conversation = await chat.new()
    await chat.say("who?", conversation_id=conversation.id)
    chat.engine.located = Future()
    chat.engine.located.set_result(Located(status, {"ram": 3}))  # type: ignore[arg-type]
    prefetch = await chat.service.conversations.prefetch("", conversation.id)
    assert (prefetch.status, prefetch.tokens_by_tier) == (status, {"ram": 3})


async def test_too_much_at_once_is_skipped(chat: Chat) -> None:
    conversation = await chat.new()
    await chat.say("who?", conversation_id=conversation.id)
    chat.engine.located = None
    assert (await chat.service.conversations.prefetch("", conversation.id)).status == "skipped"


async def test_nothing_said_is_nothing_saved_and_unknown_is_not_found(chat: Chat) -> None:
    conversation = await chat.new()
    assert (await chat.service.conversations.prefetch("", conversation.id)).status == "nothing_saved"
    with pytest.raises(NotFound):
        await chat.service.conversations.prefetch("", ConversationId("conv_none"))
    with pytest.raises(NotFound):
        await chat.service.conversations.prefetch("other", conversation.id)
