"""What the API shows of an answer that has other parts than text: the text, as if there were nothing else."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat
from tests.server.chat.thinking_parser import ThinkingParser
from tests.support.models import IM_END

MESSAGES = [{"role": "user", "content": "who?"}]
PART = {"type": "output_text", "text": "fine", "annotations": [], "logprobs": []}


@pytest.fixture
async def thinking(tmp_path: Path) -> AsyncIterator[Chat]:
    chat = Chat(tmp_path, new_parser=ThinkingParser)
    for written in ("<think>hm</think>fine", "well"):
        chat.engine.answers.append([*chat.tokenizer.encode(written).token_ids, IM_END])
    yield chat
    chat.service.close()


def events_of(reply: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def text_in(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


async def test_events_have_the_text_alone(thinking: Chat) -> None:
    async with client_of(thinking) as http:
        made = (await http.post("/v1/conversations")).json()["id"]
        body = {"input": "who?", "conversation": made}
        streamed = events_of(await http.post("/v1/responses", json={**body, "stream": True}))
        assert text_in(streamed) == "fine"
        final = streamed[-1]["response"]
        assert final["output"][0]["content"] == [PART]
        later = (await http.get(f"/v1/responses/{final['id']}")).json()
        assert later["output"] == final["output"]
        replayed = events_of(await http.get(f"/v1/responses/{final['id']}", params={"stream": "true"}))
        assert text_in(replayed) == "fine"
        answer, _ = (await http.get(f"/v1/conversations/{made}/items")).json()["data"]
        assert answer["content"] == [PART]
        following = await http.post("/v1/responses", json=body)
        assert following.json()["output"][0]["content"][0]["text"] == "well"


async def test_an_answer_in_one_piece_has_the_text_alone(thinking: Chat) -> None:
    async with client_of(thinking) as http:
        reply = (await http.post("/v1/responses", json={"input": "who?"})).json()
        assert reply["output"][0]["content"] == [PART]
        completion = (await http.post("/v1/chat/completions", json={"messages": MESSAGES})).json()
        assert completion["choices"][0]["message"] == {"role": "assistant", "content": "well", "refusal": None}


async def test_chunks_have_the_text_alone(thinking: Chat) -> None:
    async with client_of(thinking) as http:
        reply = await http.post("/v1/chat/completions", json={"messages": MESSAGES, "stream": True})
    deltas = [choice["delta"] for chunk in events_of(reply) for choice in chunk["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == "fine"
