"""What the next prompt begins with is told to the engine before it comes, as that prompt will have it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat
from tests.support.models import IM_END
from tests.support.templates import CHATML, OPENS_THOUGHT, STRIPS_THINKING, THINKS
from tests.support.tokenizer import chat_tokenizer

from warmturn_server.chat import TextTokenizer, style_of
from warmturn_server.engine_api import AheadRequest

GLM = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n<think></think>\n{{ m.content }}"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THOUGHT = "<think>\nshe asks what I know\n</think>\n\nMy cat is called Mio."


def thinking_chat(folder: Path, template: str, **settings: object) -> Chat:
    tokenizer = TextTokenizer(chat_tokenizer(template))
    return Chat(folder, tokenizer, style_of(tokenizer), **settings)  # type: ignore[arg-type]


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    chat = thinking_chat(tmp_path, THINKS)
    yield chat
    chat.service.close()


async def told(chat: Chat) -> list[AheadRequest]:
    """All that was asked of the engine, once nothing more is under way."""
    while tasks := chat.service.ahead._tasks:
        await asyncio.wait(tasks)
    return chat.engine.prepared


def written(chat: Chat, text: str) -> list[int]:
    return [*chat.tokenizer.encode(text).token_ids, IM_END]


@pytest.mark.parametrize("template", [THINKS, STRIPS_THINKING, OPENS_THOUGHT, GLM])
@pytest.mark.parametrize("words", ["and my dog?", " \n1. one", "2", "Grüße"])
async def test_a_next_turn_begins_with_what_was_prepared(tmp_path: Path, template: str, words: str) -> None:
    """But for the one token at its end that may depend on what follows."""
    chat = thinking_chat(tmp_path, template)
    made = await chat.new()
    thought = THOUGHT.removeprefix("<think>\n") if template == OPENS_THOUGHT else THOUGHT
    await chat.say("what is my cat called?", written(chat, thought), conversation_id=made.id)
    (expected,) = await told(chat)
    assert (expected.cause, expected.follows, expected.tenant) == ("reply", made.id, "")
    await chat.say(words, conversation_id=made.id)
    request = chat.engine.requests[-1]
    assert request.follows == made.id
    assert request.token_ids[: len(expected.token_ids)] == expected.token_ids
    tail = len(request.token_ids) - len(expected.token_ids)
    said = len(chat.tokenizer.encode(words).token_ids)
    assert tail <= said + len(chat.tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n<think>\n").token_ids) + 1
    assert expected.origin[: request.known_tokens] == request.token_ids[: request.known_tokens]
    chat.service.close()


async def test_a_client_that_resends_everything_has_its_next_turn_prepared(chat: Chat) -> None:
    await chat.resend(("user", "what is my cat called?"), answer=written(chat, THOUGHT))
    (expected,) = await told(chat)
    await chat.resend(("user", "what is my cat called?"), ("assistant", "My cat is called Mio."), ("user", "thanks"))
    request = chat.engine.requests[-1]
    assert request.follows == expected.follows
    assert request.token_ids[: len(expected.token_ids)] == expected.token_ids


@pytest.mark.parametrize("how", ["plain", "no thought", "off", "stopped", "another mode"])
async def test_nothing_is_prepared_where_the_state_is_there(tmp_path: Path, how: str) -> None:
    template = CHATML if how == "plain" else THINKS
    chat = thinking_chat(tmp_path, template, **({"ahead": "off"} if how == "off" else {}))
    said = "My cat is called Mio." if how == "no thought" else THOUGHT
    where: dict[str, object] = {"conversation_id": (await chat.new()).id}
    if how == "another mode":
        where["reuse"] = "prompt"
    if how == "stopped":
        chat.engine.reason = "cancelled"
    await chat.say("what is my cat called?", written(chat, said), **where)
    assert await told(chat) == []
    chat.service.close()


async def test_what_is_typed_is_prepared_as_far_as_it_is_certain(chat: Chat) -> None:
    made = await chat.new()
    await chat.say("hello", written(chat, "hello"), conversation_id=made.id)
    async with client_of(chat) as http:
        typed = "my name is Anna and my cat is cal"
        reply = (await http.post(f"/v1/conversations/{made.id}/warm", json={"input": typed})).json()
    (expected,) = await told(chat)
    assert (reply["status"], reply["tokens"]) == ("preparing", len(expected.token_ids))
    assert (expected.cause, expected.follows) == ("typing", made.id)
    await chat.say(typed + "led Mio", conversation_id=made.id)
    sent = chat.engine.requests[-1].token_ids
    assert sent[: len(expected.token_ids)] == expected.token_ids
    missing = chat.tokenizer.encode("called Mio<|im_end|>\n<|im_start|>assistant\n").token_ids
    assert len(sent) - len(expected.token_ids) <= len(missing)


async def test_a_first_turn_is_prepared_too_and_with_its_instructions(chat: Chat) -> None:
    made = await chat.new()
    async with client_of(chat) as http:
        body = {"input": "who are", "instructions": "You are a cat.", "reasoning_effort": "none"}
        await http.post(f"/v1/conversations/{made.id}/warm", json=body)
    (expected,) = await told(chat)
    await chat.say("who are you?", conversation_id=made.id, instructions="You are a cat.")
    assert chat.engine.requests[-1].token_ids[: len(expected.token_ids)] == expected.token_ids
    assert len(expected.token_ids) > len(chat.tokenizer.encode("You are a cat.").token_ids)


async def test_what_is_typed_no_more_is_abandoned(chat: Chat) -> None:
    made = await chat.new()
    async with client_of(chat) as http:
        reply = await http.post(f"/v1/conversations/{made.id}/warm", json={"input": []})
        assert reply.json()["status"] == "abandoned"
        assert chat.engine.abandoned == [("", made.id)]
        await http.delete(f"/v1/conversations/{made.id}")
    assert chat.engine.abandoned == [("", made.id)] * 2


async def test_nothing_that_is_typed_is_in_the_log(chat: Chat, tmp_path: Path) -> None:
    made = await chat.new()
    async with client_of(chat) as http:
        await http.post(f"/v1/conversations/{made.id}/warm", json={"input": "xylophone"})
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"xylophone" in path.read_bytes()]


async def test_whoever_does_not_want_that_is_told_so(tmp_path: Path) -> None:
    chat = thinking_chat(tmp_path, THINKS, ahead="replies")
    made = await chat.new()
    async with client_of(chat) as http:
        reply = await http.post(f"/v1/conversations/{made.id}/warm", json={"input": "x"})
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input")
        assert (await http.post(f"/v1/conversations/{made.id}/warm")).status_code == 200
    assert chat.engine.prepared == []
    chat.service.close()
