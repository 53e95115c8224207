"""A turn knows what was said in its place elsewhere, or before: its reply may be much the same."""

from tests.server.chat.driver import TOKENIZER, Chat
from tests.support.models import IM_END

ANSWER = [*TOKENIZER.encode("the keeper of the light").token_ids, IM_END]
LONG = "what is there to say about lighthouses " * 5


def said_in(copies: tuple[tuple[int, ...], ...], answer: list[int]) -> bool:
    text = ",".join(map(str, answer))
    return any(text in ",".join(map(str, copy)) for copy in copies)


async def test_what_a_branch_answered_to_the_same_or_a_like_question(chat: Chat) -> None:
    conversation = await chat.new()
    first = await chat.say("who?", conversation_id=conversation.id)
    await chat.say("and where?", ANSWER, conversation_id=conversation.id)
    assert chat.engine.requests[-1].near_copies == ()
    for question in ("and where?", "and when?"):
        fork = await chat.service.conversations.fork("", conversation.id, first.output[-1].id, None)
        await chat.say(question, conversation_id=fork.id)
        assert said_in(chat.engine.requests[-1].near_copies, ANSWER)
    await chat.say("something else", conversation_id=fork.id)
    assert not said_in(chat.engine.requests[-1].near_copies, ANSWER), "there is nothing beside it"


async def test_what_is_sent_again_by_who_sends_everything(chat: Chat) -> None:
    await chat.resend(("user", LONG), answer=ANSWER)
    assert not chat.engine.requests[-1].near_copies
    await chat.resend(("user", LONG))
    (copy,) = chat.engine.requests[-1].near_copies
    assert said_in((copy,), ANSWER)
    assert copy[: -len(ANSWER)] == chat.engine.requests[-1].token_ids[-32:], "with what is before it, to be found by"
    await chat.resend(("user", LONG), ("assistant", "the keeper of the light"), ("user", "and?"))
    assert not said_in(chat.engine.requests[-1].near_copies, ANSWER), "it goes on from all of it"


async def test_not_what_was_deleted(chat: Chat) -> None:
    conversation = await chat.new()
    await chat.say("who?", conversation_id=conversation.id)
    fork = await chat.service.conversations.fork("", conversation.id, None, None)
    await chat.say("where?", ANSWER, conversation_id=fork.id)
    await chat.service.conversations.delete("", fork.id)
    await chat.say("where?", conversation_id=conversation.id)
    assert chat.engine.requests[-1].near_copies == ()


async def test_not_where_the_tokens_are_to_be_those_of_a_fresh_server(chat: Chat) -> None:
    await chat.resend(("user", LONG), answer=ANSWER)
    items = tuple(chat.engine.requests[-1].token_ids)
    await chat.say(LONG, tokens="canonical", stored=False)
    assert chat.engine.requests[-1].token_ids == items
    assert chat.engine.requests[-1].near_copies == ()
