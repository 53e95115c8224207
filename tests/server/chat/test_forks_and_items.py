"""Conversations that branch, and items that come and go between turns."""

import pytest
from tests.server.chat.driver import Chat, message
from tests.server.chat.transcript.test_transcript import spell
from tests.support.models import IM_END

from warmturn_server.chat import new_item_id
from warmturn_server.errors import NotFound


class TestForks:
    async def test_a_fork_goes_on_by_itself(self, chat: Chat) -> None:
        conversation = await chat.new()
        await chat.say("who?", conversation_id=conversation.id)
        fork = await chat.service.conversations.fork("", conversation.id, None, None)
        await chat.say("only here", conversation_id=fork.id)
        assert chat.kept > 15
        await chat.say("only there", conversation_id=conversation.id)
        assert "only here" not in chat.prompt
        assert chat.engine.requests[-1].rewrite is None

    async def test_at_an_item_in_the_middle_of_a_turn(self, chat: Chat) -> None:
        conversation = await chat.new()
        first = await chat.say("who?", conversation_id=conversation.id)
        await chat.say("where?", conversation_id=conversation.id)
        fork = await chat.service.conversations.fork("", conversation.id, first.input[0].id, {"title": "b"})
        assert [item.text for item in await chat.service.conversations.items("", fork.id)] == ["who?"]
        assert fork.metadata == {"title": "b"}
        await chat.ask((), None, conversation_id=fork.id, stored=True)
        assert chat.engine.requests[-1].token_ids == chat.engine.requests[0].token_ids
        assert chat.kept == len(chat.engine.requests[0].token_ids)

    async def test_at_an_unknown_or_deleted_item(self, chat: Chat) -> None:
        conversation = await chat.new()
        turn = await chat.say("who?", conversation_id=conversation.id)
        await chat.service.conversations.delete_item("", conversation.id, turn.output[0].id)
        for item_id in (turn.output[0].id, new_item_id()):
            with pytest.raises(NotFound):
                await chat.service.conversations.fork("", conversation.id, item_id, None)

    async def test_deleting_one_leaves_the_other(self, chat: Chat) -> None:
        conversation = await chat.new()
        await chat.say("who?", conversation_id=conversation.id)
        fork = await chat.service.conversations.fork("", conversation.id, None, None)
        await chat.say("only here", conversation_id=fork.id)
        await chat.service.conversations.delete("", conversation.id)
        assert chat.engine.forgotten == [], "all of it is still the fork's"
        await chat.say("and?", conversation_id=fork.id)
        assert "who?" in chat.prompt and "only here" in chat.prompt
        await chat.service.conversations.delete("", fork.id)
        ids = chat.engine.requests[-1].token_ids
        assert any(forgotten[: len(ids)] == ids for forgotten in chat.engine.forgotten)


class TestItems:
    async def test_added_by_hand_they_are_part_of_the_next_turn(self, chat: Chat) -> None:
        conversation = await chat.new()
        await chat.say("who?", conversation_id=conversation.id)
        known = len(chat.engine.requests[-1].token_ids)
        await chat.service.conversations.add_items("", conversation.id, [message("user", "by hand")])
        await chat.say("where?", conversation_id=conversation.id)
        assert "by hand<|im_end|>" in chat.prompt
        assert chat.kept > known
        await chat.say("how?", conversation_id=conversation.id)
        items = await chat.service.conversations.items("", conversation.id)
        assert [item.text for item in items][::2] == ["who?", "by hand", "fine", "fine"]

    async def test_deleted_they_are_gone_from_the_next_turn(self, chat: Chat) -> None:
        conversation = await chat.new()
        first = await chat.say("who?", conversation_id=conversation.id)
        await chat.say("where?", conversation_id=conversation.id)
        await chat.service.conversations.delete_item("", conversation.id, first.input[0].id)
        await chat.say("how?", conversation_id=conversation.id)
        assert "who?" not in chat.prompt and "where?" in chat.prompt
        with pytest.raises(NotFound):
            await chat.service.conversations.item("", conversation.id, first.input[0].id)

    @pytest.mark.parametrize("turn", [0, 1, 2])
    @pytest.mark.parametrize("which", ["question", "answer"])
    async def test_what_the_user_deletes_no_template_rewrote(self, chat: Chat, turn: int, which: str) -> None:
        conversation = await chat.new()
        turns = [await chat.say(text, conversation_id=conversation.id) for text in ("who?", "where?", "how?")]
        item = (turns[turn].input if which == "question" else turns[turn].output)[0]
        await chat.service.conversations.delete_item("", conversation.id, item.id)
        await chat.say("and when?", conversation_id=conversation.id)
        assert chat.kept < len(chat.engine.requests[-2].token_ids), "it was said before what is left"
        assert chat.engine.requests[-1].rewrite is None

    async def test_what_a_template_rewrites_is_told_although_something_was_deleted_long_ago(
        self, thinking: Chat
    ) -> None:
        conversation = await thinking.new()
        first = await thinking.say("who?", conversation_id=conversation.id)
        await thinking.service.conversations.delete_item("", conversation.id, first.input[0].id)
        thought = spell("<think>hm</think>there", 1, thinking.tokenizer)
        await thinking.say("where?", [*thought, IM_END], conversation_id=conversation.id)
        await thinking.say("how?", conversation_id=conversation.id)
        asked = thinking.engine.requests[-1]
        assert asked.rewrite is not None
        assert asked.rewrite.expected.after.startswith("<think>hm</think>there")
        history, _ = thinking.tokenizer.decode_onto((), asked.token_ids[: asked.history_tokens])
        assert "where?" in history and history.endswith("<|im_start|>user\n")

    async def test_other_instructions_are_no_rewriting(self, chat: Chat) -> None:
        conversation = await chat.new()
        for instructions in ("be brief", "be kind", None):
            await chat.say("who?", conversation_id=conversation.id, instructions=instructions)
            assert chat.engine.requests[-1].rewrite is None

    async def test_an_undone_turn_is_as_if_it_had_not_been(self, chat: Chat) -> None:
        conversation = await chat.new()
        await chat.say("who?", [*spell("another", 1), IM_END], conversation_id=conversation.id)
        undone = await chat.say("where?", conversation_id=conversation.id)
        known = chat.kept
        for item in undone.items:
            await chat.service.conversations.delete_item("", conversation.id, item.id)
        await chat.say("how?", conversation_id=conversation.id)
        assert "where?" not in chat.prompt
        assert (chat.kept, chat.engine.requests[-1].rewrite) == (known, None)
