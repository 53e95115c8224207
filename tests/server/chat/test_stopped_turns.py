"""Turns that do not come to their end: what is kept of them, and when their conversation takes the next one."""

import asyncio
from typing import Any

import pytest
from tests.server.chat.driver import Chat, user
from tests.server.chat.transcript.test_transcript import spell
from tests.support.models import IM_END

from warmturn_server.chat import Conversation, RunningTurn, Turn, TurnRequest
from warmturn_server.errors import NotFound, Overloaded

ANSWER = spell("another one was here", 2)


async def begin(chat: Chat, conversation: Conversation, says: int | None = 9, **options: Any) -> RunningTurn:
    """A turn that says so many tokens when it is let, and then no more; None: all of them, to its end."""
    chat.engine.answers.append([*ANSWER, IM_END])
    chat.engine.gate.clear()
    chat.engine.pauses_after = says
    request = TurnRequest((user("who?"),), conversation_id=conversation.id, stored=True, **options)
    running = await chat.service.start(request)
    chat.engine.pauses_after = None
    return running


async def take(running: RunningTurn, chat: Chat, count: int) -> str:
    """Reads so many tokens of it and no more."""
    chat.engine.gate.set()
    taken, text = 0, ""
    async for delta in running.deltas():
        text += delta.text
        taken += len(delta.token_ids)
        if taken == count:
            break
    return text


async def settled(chat: Chat) -> None:
    while len(chat.service.running):
        await asyncio.sleep(0.001)


async def answers(chat: Chat, conversation: Conversation) -> list[tuple[str, bool]]:
    items = await chat.service.conversations.items("", conversation.id)
    return [(item.text, item.complete) for item in items if item.role == "assistant"]


async def test_a_turn_goes_on_to_its_end_though_nobody_reads_it(chat: Chat) -> None:
    conversation = await chat.new()
    running = await begin(chat, conversation, says=None)
    chat.engine.gate.set()
    await running.ended()
    assert await answers(chat, conversation) == [("another one was here", True)]
    await chat.say("where?", conversation_id=conversation.id)
    assert "".join([delta.text async for delta in running.deltas()]) == "another one was here"


async def test_what_was_told_is_kept_if_that_was_asked_for(chat: Chat) -> None:
    conversation = await chat.new()
    running = await begin(chat, conversation, keep_stopped=True)
    text = await take(running, chat, 5)
    running.close()
    await settled(chat)
    assert await answers(chat, conversation) == [(text, False)]
    kept = await chat.service.response("", running.id)
    assert kept.reply and (kept.reply.finish_reason, kept.reply.output_tokens) == ("interrupted", 5)
    await chat.say("where?", conversation_id=conversation.id)
    assert f"{text}<|im_end|>\n<|im_start|>user\nwhere?" in chat.prompt
    assert ANSWER[:5] == list(chat.engine.requests[-1].token_ids[len(running.prompt_token_ids) :][:5])


async def test_nothing_is_kept_if_it_was_not(chat: Chat) -> None:
    conversation = await chat.new()
    running = await begin(chat, conversation)
    await take(running, chat, 5)
    running.close()
    await running.ended()
    assert await chat.service.conversations.items("", conversation.id) == []
    with pytest.raises(NotFound):
        await chat.service.response("", running.id)


async def test_what_was_asked_is_kept_though_nothing_was_said(chat: Chat) -> None:
    conversation = await chat.new()
    running = await begin(chat, conversation, keep_stopped=True)
    running.close()
    await settled(chat)
    items = await chat.service.conversations.items("", conversation.id)
    assert [(item.role, item.text, item.complete) for item in items] == [
        ("user", "who?", True),
        ("assistant", "", False),
    ]
    await chat.say("where?", conversation_id=conversation.id)


@pytest.mark.parametrize("keeps", [False, True])
async def test_after_a_cancel_the_conversation_is_free_though_its_reader_stalls(chat: Chat, keeps: bool) -> None:
    conversation = await chat.new()
    running = await begin(chat, conversation, keep_stopped=keeps)
    await take(running, chat, 5)
    await chat.service.cancel("", running.id)
    await chat.say("where?", conversation_id=conversation.id)
    stopped = [(chat.tokenizer.decode_onto((), ANSWER[:9])[0], False)] if keeps else []
    assert await answers(chat, conversation) == [*stopped, ("fine", True)]


async def test_what_is_dropped_is_not_waited_for(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine in a long step hears of it when that is over."""
    conversation = await chat.new()
    running = await begin(chat, conversation)
    monkeypatch.setattr(chat.engine.generations[-1], "cancel", lambda: None)
    await take(running, chat, 5)
    await chat.service.cancel("", running.id)
    await chat.say("where?", conversation_id=conversation.id)
    assert not running.run.done()
    running.run.cancel()


@pytest.mark.parametrize("keeps", [False, True])
async def test_after_a_reader_has_gone_the_conversation_is_free(chat: Chat, keeps: bool) -> None:
    conversation = await chat.new()
    running = await begin(chat, conversation, keep_stopped=keeps)
    await take(running, chat, 5)
    running.close()
    await chat.say("where?", conversation_id=conversation.id)
    assert len(await answers(chat, conversation)) == 1 + keeps


async def test_one_that_is_stopped_when_all_was_said_is_whole(chat: Chat) -> None:
    conversation = await chat.new()
    running = await begin(chat, conversation, says=None, keep_stopped=True)
    with chat.store._connection._lock:
        chat.engine.gate.set()
        while not running._committing:
            await asyncio.sleep(0)
        cancelling = asyncio.create_task(chat.service.cancel("", running.id))
        await asyncio.sleep(0.01)
        assert not cancelling.done()
    assert (await cancelling).result.output[0].complete


async def test_a_server_that_leaves_keeps_what_was_said_and_takes_no_more(chat: Chat) -> None:
    conversation = await chat.new()
    running = await begin(chat, conversation, says=5)
    reading = asyncio.create_task(_all(running))
    chat.engine.gate.set()
    while len(running.output_token_ids) < 5:
        await asyncio.sleep(0)
    chat.service.running.takes_no_more = True
    with pytest.raises(Overloaded) as refused:
        await chat.say("where?", conversation_id=conversation.id)
    assert refused.value.code == "shutting_down"
    await chat.service.running.interrupt()
    assert len(chat.service.running) == 0
    turn: Turn = await reading
    assert turn.reply and turn.reply.finish_reason == "interrupted"
    assert await answers(chat, conversation) == [(turn.output[0].text, False)]


async def _all(running: RunningTurn) -> Turn:
    async for _ in running.deltas():
        pass
    return running.result
