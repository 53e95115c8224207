"""Turns from end to end, with an engine whose answers the test chooses."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.server.chat.driver import Chat, user
from tests.server.chat.transcript.test_transcript import spell
from tests.support.models import IM_END
from tests.support.templates import CHATML
from tests.support.tokenizer import chat_tokenizer
from tests.support.waiting import wait_until

from warmturn_server.chat import ConversationId, Page, StoreFailed, TextTokenizer, TurnId, TurnRequest
from warmturn_server.errors import Conflict, EngineFailed, InvalidRequest, NotFound


async def test_a_conversation_goes_on_from_the_ids_that_were_generated(chat: Chat) -> None:
    conversation = await chat.new()
    answer = [*spell("another one", 2), IM_END]
    await chat.say("who?", answer, conversation_id=conversation.id)
    first = chat.engine.requests[-1].token_ids
    await chat.say("where?", conversation_id=conversation.id)
    assert chat.engine.requests[-1].token_ids[: len(first) + len(answer)] == (*first, *answer)
    assert chat.kept == len(first) + len(answer) - 1
    assert chat.engine.requests[-1].rewrite is None
    assert "another one<|im_end|>\n<|im_start|>user\nwhere?" in chat.prompt


async def test_it_goes_on_so_after_a_restart(chat: Chat, tmp_path: Path) -> None:
    conversation = await chat.new()
    await chat.say("who?", [*spell("another one", 2), IM_END], conversation_id=conversation.id)
    ids = chat.engine.requests[-1].token_ids
    chat.service.close()
    again = Chat(tmp_path)
    await again.say("where?", conversation_id=conversation.id)
    assert again.engine.requests[-1].token_ids[: len(ids)] == ids
    assert again.kept > len(ids)
    again.service.close()


async def test_ids_of_another_tokenizer_are_not_used(chat: Chat, tmp_path: Path) -> None:
    conversation = await chat.new()
    await chat.say("who?", conversation_id=conversation.id)
    chat.service.close()
    other = TextTokenizer(chat_tokenizer(CHATML))
    other.vocabulary = "another"
    again = Chat(tmp_path, other)
    recorded = len(chat.engine.requests[-1].token_ids) + len(chat.tokenizer.encode("fine").token_ids) + 1
    await again.say("where?", conversation_id=conversation.id)
    assert (again.kept, again.engine.requests[-1].foreign_tokens) == (0, recorded)
    assert "who?" in again.prompt
    await again.say("when?", conversation_id=conversation.id)
    assert (again.kept > 0, again.engine.requests[-1].foreign_tokens) == (True, 0)
    again.service.close()


async def test_a_supervisor_is_told_when_the_engine_is_gone(chat: Chat) -> None:
    await chat.service.check(1.0)
    chat.engine.failure = RuntimeError("gone")
    with pytest.raises(EngineFailed, match=r"within 1 s"):
        await chat.service.check(1.0)


async def test_responses_chain_and_instructions_do_not_carry_over(chat: Chat) -> None:
    first = await chat.say("who?", instructions="Be brief.")
    assert "system\nBe brief." in chat.prompt
    await chat.say("where?", previous_response_id=first.id)
    assert "Be brief." not in chat.prompt and "who?" in chat.prompt


async def test_two_may_go_on_from_one_response(chat: Chat) -> None:
    first = await chat.say("who?")
    for text in ("here", "there"):
        await chat.say(text, previous_response_id=first.id)
        assert chat.kept > 10
    assert "here" not in chat.prompt.replace("there", "")


async def test_what_is_not_stored_cannot_be_gone_on_from(chat: Chat) -> None:
    turn = await chat.say("who?", stored=False)
    with pytest.raises(InvalidRequest) as refusal:
        await chat.say("where?", previous_response_id=turn.id)
    assert (refusal.value.code, refusal.value.param) == ("previous_response_not_found", "previous_response_id")
    with pytest.raises(NotFound):
        await chat.service.response("", turn.id)


async def test_unknown_and_contradicting_places_are_refused(chat: Chat) -> None:
    conversation = await chat.new()
    with pytest.raises(NotFound):
        await chat.say("x", conversation_id=ConversationId("conv_none"))
    with pytest.raises(InvalidRequest):
        await chat.say("x", conversation_id=conversation.id, previous_response_id=TurnId("resp_none"))
    with pytest.raises(InvalidRequest, match="nothing to answer"):
        await chat.ask((), None)
    await chat.say("still possible", conversation_id=conversation.id)


class TestOneTurnAtATime:
    async def test_the_second_is_refused_until_the_first_is_over(self, chat: Chat) -> None:
        conversation = await chat.new()
        request = TurnRequest((user("who?"),), conversation_id=conversation.id, stored=True)
        chat.engine.gate.clear()
        running = await chat.service.start(request)
        for busy in (
            chat.service.start(request),
            chat.service.conversations.add_items("", conversation.id, [user("x")]),
            chat.service.conversations.delete("", conversation.id),
        ):
            with pytest.raises(Conflict) as conflict:
                await busy
            assert conflict.value.code == "conversation_locked"
        chat.engine.gate.set()
        async for _ in running.deltas():
            pass
        running.close()
        await chat.say("where?", conversation_id=conversation.id)

    async def test_a_refused_turn_leaves_no_lock(self, chat: Chat) -> None:
        conversation = await chat.new()
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                await chat.ask((), None, conversation_id=conversation.id)

    @pytest.mark.parametrize("how", ["cancelled", "closed", "gone"])
    async def test_a_turn_that_is_stopped_leaves_everything_as_it_was(self, chat: Chat, how: str) -> None:
        conversation = await chat.new()
        await chat.say("who?", conversation_id=conversation.id)
        before = await chat.service.conversations.get("", conversation.id)
        chat.engine.gate.clear()
        running = await chat.service.start(TurnRequest((user("x"),), conversation_id=conversation.id, stored=True))
        reading = asyncio.create_task(read(running.deltas()))
        await asyncio.sleep(0.01)
        if how == "cancelled":
            await chat.service.cancel("", running.id)
            await reading
            assert running.result.reply and running.result.reply.finish_reason == "cancelled"
        elif how == "gone":
            reading.cancel()
        running.close()
        assert chat.engine.generations[-1].cancelled
        assert await chat.service.conversations.get("", conversation.id) == before
        with pytest.raises(NotFound):
            await chat.service.response("", running.id)
        await chat.say("again", conversation_id=conversation.id)

    async def test_a_reader_that_goes_during_the_commit_does_not_undo_it(self, chat: Chat) -> None:
        conversation = await chat.new()
        request = TurnRequest((user("x"),), conversation_id=conversation.id, stored=True)
        running = await chat.service.start(request)
        with chat.store._connection._lock:
            reading = asyncio.create_task(read(running.deltas()))
            while not running._committing:
                await asyncio.sleep(0)
            reading.cancel()
            running.close()
            with pytest.raises(Conflict):
                await asyncio.wait_for(chat.service.start(request), timeout=2)
        await running.run
        assert await chat.service.response("", running.id)
        await chat.say("y", conversation_id=conversation.id)


async def read(deltas: AsyncIterator[object]) -> None:
    async for _ in deltas:
        pass


async def test_a_turn_that_cannot_be_logged_is_not_acknowledged(chat: Chat) -> None:
    conversation = await chat.new()
    chat.store._connection.database.execute("PRAGMA query_only = ON")
    running = await chat.service.start(TurnRequest((user("x"),), conversation_id=conversation.id, stored=True))
    with pytest.raises(StoreFailed):
        await read(running.deltas())
    running.close()
    with pytest.raises(RuntimeError):
        _ = running.result
    ids = chat.engine.requests[-1].token_ids
    wait_until(lambda: [gone[: len(ids)] for gone in chat.engine.forgotten] == [ids], "its state is lasting")
    chat.store._connection.database.execute("PRAGMA query_only = OFF")
    await chat.say("x", conversation_id=conversation.id)


async def test_deleting_a_response_forgets_its_state(chat: Chat) -> None:
    turn = await chat.say("who?")
    ids = chat.engine.requests[-1].token_ids
    await chat.service.delete_response("", turn.id)
    assert [forgotten[: len(ids)] for forgotten in chat.engine.forgotten] == [ids]
    with pytest.raises(NotFound):
        await chat.service.delete_response("", turn.id)


async def test_new_metadata_is_answered_with_and_only_a_known_conversation_has_any(chat: Chat) -> None:
    conversation = await chat.new()
    changed = await chat.service.conversations.set_metadata("", conversation.id, {"title": "cats"})
    assert changed.metadata == {"title": "cats"}
    assert await chat.service.conversations.get("", conversation.id) == changed
    with pytest.raises(NotFound) as missing:
        await chat.service.conversations.set_metadata("", ConversationId("conv_none"), {"title": "dogs"})
    assert missing.value.code == "conversation_not_found"


async def test_conversations_are_listed_newest_first(chat: Chat) -> None:
    made = [await chat.new() for _ in range(3)]
    listed = await chat.service.conversations.page("", Page(limit=2))
    assert [conversation.id for conversation in listed] == [conversation.id for conversation in reversed(made)]
