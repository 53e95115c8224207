"""How the API shows an answer that has other parts than text: what was thought apart from what was said."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types.responses import ResponseReasoningItem, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat
from tests.support.models import IM_END

from warmturn_server.chat import FORMATS, Style

MESSAGES = [{"role": "user", "content": "who?"}]
THOUGHT = {"type": "reasoning_text", "text": "hm"}
SAID = {"role": "assistant", "content": "fine"}
PART = {"type": "output_text", "text": "fine", "annotations": [], "logprobs": []}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture
async def thinking(tmp_path: Path) -> AsyncIterator[Chat]:
    chat = Chat(tmp_path, style=Style(FORMATS["think"]))
    for written in ("<think>hm</think>fine", "well"):
        chat.engine.answers.append([*chat.tokenizer.encode(written).token_ids, IM_END])
    yield chat
    chat.service.close()


def events_of(reply: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def text_in(events: list[dict[str, Any]], kind: str = "output_text") -> str:
    return "".join(event["delta"] for event in events if event["type"] == f"response.{kind}.delta")


def once(names: list[str]) -> list[str]:
    return [name for number, name in enumerate(names) if names[number - 1 : number] != [name]]


async def test_thought_and_answer_are_items_of_their_own(thinking: Chat) -> None:
    async with client_of(thinking) as http:
        made = (await http.post("/v1/conversations")).json()["id"]
        body = {"input": "who?", "conversation": made}
        streamed = events_of(await http.post("/v1/responses", json={**body, "stream": True}))
        assert text_in(streamed) == "fine"
        assert text_in(streamed, "reasoning_text") == "hm"
        final = streamed[-1]["response"]
        reasoning, message = final["output"]
        assert reasoning["content"] == [THOUGHT]
        assert ResponseReasoningItem.model_validate(reasoning).status == "completed"
        assert message["content"] == [PART]
        assert final["usage"]["output_tokens_details"] == {"reasoning_tokens": 4}
        later = (await http.get(f"/v1/responses/{final['id']}")).json()
        assert later["output"] == final["output"]
        replayed = events_of(await http.get(f"/v1/responses/{final['id']}", params={"stream": "true"}))
        assert once([event["type"] for event in replayed]) == once([event["type"] for event in streamed])
        answer, _ = (await http.get(f"/v1/conversations/{made}/items")).json()["data"]
        assert answer["content"] == [THOUGHT, PART]
        following = await http.post("/v1/responses", json=body)
        (said,) = following.json()["output"]
        assert said["content"][0]["text"] == "well"


async def test_events_are_those_of_the_published_types_in_their_order(thinking: Chat) -> None:
    async with client_of(thinking) as http:
        events = events_of(await http.post("/v1/responses", json={"input": "who?", "stream": True}))
    for event in events:
        EVENT.validate_python(event)
    added = ["output_item.added", "content_part.added"]
    done = ["content_part.done", "output_item.done"]
    items = [
        name for kind in ("reasoning_text", "output_text") for name in (*added, f"{kind}.delta", f"{kind}.done", *done)
    ]
    names = [event["type"].removeprefix("response.") for event in events]
    assert once(names) == ["created", "in_progress", *items, "completed"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert {event["output_index"] for event in events if "reasoning" in event["type"]} == {0}
    assert {event["output_index"] for event in events if "output_text" in event["type"]} == {1}


async def test_a_thought_that_was_cut_is_incomplete(thinking: Chat) -> None:
    thinking.engine.answers.appendleft([*thinking.tokenizer.encode("<think>hm").token_ids])
    thinking.engine.reason = "length"
    async with client_of(thinking) as http:
        events = events_of(await http.post("/v1/responses", json={"input": "who?", "stream": True}))
        thinking.engine.answers.appendleft([*thinking.tokenizer.encode("<think>hm").token_ids])
        completion = (await http.post("/v1/chat/completions", json={"messages": MESSAGES})).json()
    reasoning, message = events[-1]["response"]["output"]
    assert (reasoning["status"], reasoning["content"]) == ("incomplete", [THOUGHT])
    assert (message["status"], message["content"][0]["text"]) == ("incomplete", "")
    ended = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert ended == [reasoning, message]
    (choice,) = completion["choices"]
    assert (choice["message"]["reasoning_content"], choice["message"]["content"]) == ("hm", "")
    assert choice["finish_reason"] == "length"


async def test_completions_have_the_thought_beside_the_answer(thinking: Chat) -> None:
    async with client_of(thinking) as http:
        completion = (await http.post("/v1/chat/completions", json={"messages": MESSAGES})).json()
        plain = (await http.post("/v1/chat/completions", json={"messages": MESSAGES})).json()
    message = {"role": "assistant", "content": "fine", "refusal": None, "reasoning_content": "hm"}
    assert completion["choices"][0]["message"] == message
    assert completion["usage"]["completion_tokens_details"]["reasoning_tokens"] == 4
    assert plain["choices"][0]["message"] == {"role": "assistant", "content": "well", "refusal": None}


async def test_chunks_have_the_thought_first(thinking: Chat) -> None:
    body = {"messages": MESSAGES, "stream": True, "logprobs": True}
    async with client_of(thinking) as http:
        reply = await http.post("/v1/chat/completions", json=body)
    deltas = [choice["delta"] for chunk in events_of(reply) for choice in chunk["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == "fine"
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "hm"


@pytest.mark.parametrize(
    "earlier",
    [
        [{"role": "assistant", "content": "fine", "reasoning_content": "hm"}],
        [{"role": "assistant", "content": [THOUGHT, {"type": "output_text", "text": "fine"}]}],
        [{"type": "reasoning", "id": "rs_1", "summary": [], "content": [THOUGHT]}, SAID],
    ],
)
async def test_a_thought_that_is_sent_back_reaches_the_template(thinking: Chat, earlier: list[dict[str, Any]]) -> None:
    template = "{% for m in messages %}{{ m.role }}:{{ m.reasoning_content }}:{{ m.content }};{% endfor %}"
    thinking.tokenizer.template._tokenizer.chat_template, before = template, thinking.tokenizer.template.source
    try:
        async with client_of(thinking) as http:
            await http.post("/v1/responses", json={"input": [*MESSAGES, *earlier, *MESSAGES]})
        assert thinking.prompt == "user::who?;assistant:hm:fine;user::who?;"
    finally:
        thinking.tokenizer.template._tokenizer.chat_template = before
