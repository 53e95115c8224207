"""Functions that a request offers, over both APIs: what is called, how it is told, and what comes back."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat
from tests.support.models import IM_END
from tests.support.templates import CALLS, CHATML
from tests.support.tokenizer import chat_tokenizer

from warmturn_server.chat import TextTokenizer, calling_of, style_of

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOKENIZER = TextTokenizer(chat_tokenizer(CALLS))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "weather", "description": "Of a city.", "parameters": SCHEMA, "strict": False}
MAIL = {"type": "function", "name": "mail", "parameters": None}
IN_CHAT = [
    {"type": "function", "function": {key: tool[key] for key in tool if key != "type"}} for tool in (WEATHER, MAIL)
]
ARGUMENTS = '{"city":"Oslo"}'
WRITTEN = '<tool_call>\n{"name": "weather", "arguments": {"city":"Oslo"}}\n</tool_call>'
TWO = f'Let me see.\n\n{WRITTEN}\n<tool_call>\n{{"name": "mail", "arguments": {{}}}}\n</tool_call>'


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    chat = Chat(tmp_path, TOKENIZER, style_of(TOKENIZER), calling=calling_of(TOKENIZER))
    yield chat
    chat.service.close()


def writes(chat: Chat, *replies: str) -> None:
    chat.engine.answers.extend([*chat.tokenizer.encode(reply).token_ids, IM_END] for reply in replies)


def events_of(reply: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


async def test_a_call_is_an_item_and_its_result_comes_back(chat: Chat) -> None:
    writes(chat, WRITTEN, "Rain.")
    async with client_of(chat) as http:
        made = (await http.post("/v1/conversations")).json()["id"]
        body = {"conversation": made, "tools": [WEATHER, MAIL]}
        first = (await http.post("/v1/responses", json={**body, "input": "weather in Oslo?"})).json()
        Response.model_validate(first)
        (call,) = first["output"]
        assert (call["type"], call["status"], call["name"], call["arguments"]) == (
            "function_call",
            "completed",
            "weather",
            ARGUMENTS,
        )
        assert first["tools"][0] == {**WEATHER, "strict": False}
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "4 degrees"}
        second = (await http.post("/v1/responses", json={**body, "input": [result]})).json()
        assert second["output"][0]["content"][0]["text"] == "Rain."
        before = len(chat.engine.requests[0].token_ids) + len(chat.tokenizer.encode(WRITTEN).token_ids)
        assert chat.kept == before, "all that was generated but the last token, which was only chosen"
        assert WRITTEN in chat.prompt, "as the model wrote it, though the template writes it with other spaces"
        items = (await http.get(f"/v1/conversations/{made}/items", params={"order": "asc"})).json()["data"]
        assert [item["type"] for item in items] == ["message", "function_call", "function_call_output", "message"]
        assert items[1] == call
        assert (items[2]["output"], items[2]["call_id"]) == ("4 degrees", call["call_id"])
        assert (await http.get(f"/v1/conversations/{made}/items/{call['id']}")).json() == call


async def test_events_of_a_call_are_the_published_ones(chat: Chat) -> None:
    writes(chat, "<think>\nhm\n</think>\n\n" + TWO)
    async with client_of(chat) as http:
        body = {"input": "weather?", "tools": [WEATHER, MAIL], "stream": True}
        events = events_of(await http.post("/v1/responses", json=body))
        later = await http.get(f"/v1/responses/{events[0]['response']['id']}", params={"stream": "true"})
    for event in [*events, *events_of(later)]:
        EVENT.validate_python(event)
    final = events[-1]["response"]
    assert [item["type"] for item in final["output"]] == ["reasoning", "message", "function_call", "function_call"]
    assert final["output"][1]["content"][0]["text"] == "Let me see."
    assert events_of(later)[-1]["response"]["output"] == final["output"]
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    ended = {event["output_index"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    assert [item["id"] for item in added] == [item["id"] for item in final["output"]]
    assert [ended[index] for index in range(4)] == final["output"]
    deltas = [event for event in events if event["type"] == "response.function_call_arguments.delta"]
    first = "".join(event["delta"] for event in deltas if event["item_id"] == final["output"][2]["id"])
    assert first == ARGUMENTS
    assert len([event for event in deltas if event["output_index"] == 2]) > 1, "as they come"
    done = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert [(event["name"], event["arguments"]) for event in done] == [("weather", ARGUMENTS), ("mail", "{}")]


async def test_chat_completions_have_the_calls_in_the_message(chat: Chat) -> None:
    writes(chat, WRITTEN, TWO, "Rain.")
    asked = [{"role": "user", "content": "weather?"}]
    async with client_of(chat) as http:
        whole = (await http.post("/v1/chat/completions", json={"messages": asked, "tools": IN_CHAT})).json()
        body = {"messages": asked, "tools": IN_CHAT, "stream": True}
        chunks = events_of(await http.post("/v1/chat/completions", json=body))
        message = whole["choices"][0]["message"]
        (call,) = message["tool_calls"]
        result = {"role": "tool", "tool_call_id": call["id"], "content": [{"type": "text", "text": "4 degrees"}]}
        again = {"messages": [*asked, message, result], "tools": IN_CHAT[::-1]}
        answer = (await http.post("/v1/chat/completions", json=again)).json()
    ChatCompletion.model_validate(whole)
    assert (message["content"], call["function"]) == (None, {"name": "weather", "arguments": ARGUMENTS})
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    calls = dict[int, dict[str, str]]()
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)
        for delta in chunk["choices"][0]["delta"].get("tool_calls", []):
            one = calls.setdefault(
                delta["index"], {"id": delta.get("id", ""), "name": delta["function"].get("name", ""), "arguments": ""}
            )
            one["arguments"] += delta["function"]["arguments"]
    assert [(one["name"], one["arguments"]) for one in calls.values()] == [("weather", ARGUMENTS), ("mail", "{}")]
    assert all(one["id"].startswith("call_") for one in calls.values())
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert answer["choices"][0]["message"]["content"] == "Rain."
    assert chat.kept == len(chat.engine.requests[0].token_ids) + len(chat.tokenizer.encode(WRITTEN).token_ids)


@pytest.mark.parametrize("how", ["previous", "items", "references"])
async def test_results_come_on_every_path(chat: Chat, how: str) -> None:
    writes(chat, "<think>\nhm\n</think>\n\n" + TWO, "Rain.")
    question = {"role": "user", "content": "weather?"}
    async with client_of(chat) as http:
        first = (await http.post("/v1/responses", json={"input": [question], "tools": [WEATHER, MAIL]})).json()
        calls = [item for item in first["output"] if item["type"] == "function_call"]
        results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "ok"} for call in calls]
        if how == "previous":
            body = {"previous_response_id": first["id"], "input": results}
        else:
            earlier = first["output"]
            if how == "references":
                earlier = [{"type": "item_reference", "id": item["id"]} for item in earlier]
            body = {"input": [question, *earlier, *results]}
        second = await http.post("/v1/responses", json={**body, "tools": [MAIL, WEATHER]})
    assert second.json()["output"][0]["content"][0]["text"] == "Rain."
    generated = "<think>\nhm\n</think>\n\n" + TWO
    assert chat.kept == len(chat.engine.requests[0].token_ids) + len(chat.tokenizer.encode(generated).token_ids)
    assert chat.prompt.count("<tool_response>") == 2


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('<tool_call>\n{"name": "else", "arguments": {}}\n</tool_call>', True),
        ("<tool_call> is what a call begins with", True),
        ('<tool_call>\n{"name": "weather", "arguments": {"city": \'Oslo\'}}\n</tool_call>', False),
        ('<tool_call>\n{"name": "weather", "arguments": {"ci', False),
    ],
)
async def test_what_is_no_call_is_said_and_what_is_half_of_one_is_incomplete(
    chat: Chat, written: str, said: bool
) -> None:
    writes(chat, written, written)
    async with client_of(chat) as http:
        reply = (await http.post("/v1/responses", json={"input": "x", "tools": [WEATHER]})).json()
        asked = {"messages": [{"role": "user", "content": "x"}], "tools": IN_CHAT}
        completion = (await http.post("/v1/chat/completions", json=asked)).json()
        (item,) = reply["output"]
        message = completion["choices"][0]["message"]
        if said:
            assert item["content"][0]["text"] == message["content"] == written
            return
        assert (item["type"], item["status"]) == ("function_call", "incomplete")
        assert message["tool_calls"][0]["function"]["name"] == "weather"
        follows = {"previous_response_id": reply["id"], "input": "and?", "tools": [WEATHER]}
        assert (await http.post("/v1/responses", json=follows)).status_code == 200


async def test_without_tools_nothing_is_a_call(chat: Chat) -> None:
    writes(chat, WRITTEN, WRITTEN)
    async with client_of(chat) as http:
        for more in ({}, {"tools": [WEATHER], "tool_choice": "none"}):
            reply = (await http.post("/v1/responses", json={"input": "x", **more})).json()
            assert reply["output"][0]["content"][0]["text"] == WRITTEN


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "web_search"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name", "pattern"),
        ({"tools": [{**WEATHER, "parameters": {"type": "array"}}]}, "tools[0].parameters", "object"),
        (
            {"tools": [{**WEATHER, "parameters": {"type": "object", "properties": {"a": {"type": "text"}}}}]},
            "tools[0].parameters",
            "properties.a.type must be one of",
        ),
        (
            {"tools": [{**WEATHER, "parameters": {"type": "object", "properties": {"a": {"enum": 5}}}}]},
            "tools[0].parameters",
            "properties.a.enum must be a list",
        ),
        ({"tools": [WEATHER, WEATHER]}, "tools", "two functions"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "mail"}}, "tool_choice", "'mail' is none"),
        ({"tools": [WEATHER], "tool_choice": {"type": "web_search"}}, "tool_choice", "must be 'none'"),
        ({"tool_choice": "required"}, "tool_choice", "there are no tools"),
        ({"input": [{"type": "function_call_output", "call_id": "call_x", "output": "y"}]}, "input", "call_x"),
        (
            {
                "input": [
                    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                    {"role": "user", "content": "x"},
                ]
            },
            "input",
            "c1",
        ),
        ({"input": [{"type": "function_call", "call_id": "c1", "arguments": "{}"}]}, "input[0].name", "needs"),
        ({"input": [{"type": "item_reference", "id": "msg_gone"}]}, "input", "msg_gone"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(chat: Chat, body: dict[str, Any], param: str, says: str) -> None:
    async with client_of(chat) as http:
        reply = await http.post("/v1/responses", json={"input": "x", **body})
    error = reply.json()["error"]
    assert (reply.status_code, error["param"]) == (404 if says == "msg_gone" else 400, param)
    assert says in error["message"]
    assert chat.engine.requests == []


async def test_a_model_that_knows_no_tools_says_so(tmp_path: Path) -> None:
    plain = Chat(tmp_path)
    async with client_of(plain) as http:
        for path, body in (
            ("responses", {"input": "x", "tools": [WEATHER]}),
            ("chat/completions", {"messages": [{"role": "user", "content": "x"}], "tools": IN_CHAT}),
            ("responses/input_tokens", {"input": "x", "tools": [WEATHER]}),
        ):
            reply = await http.post(f"/v1/{path}", json=body)
            error = reply.json()["error"]
            assert (reply.status_code, error["param"], error["code"]) == (400, "tools", "unsupported_value")
            assert "knows no tools" in error["message"]
        without = await http.post("/v1/responses", json={"input": "x", "tools": [WEATHER], "tool_choice": "none"})
        model = (await http.get("/v1/models/fake")).json()
    assert without.status_code == 200
    assert model["tool_format"] is None
    assert plain.tokenizer.template.source == CHATML
    plain.service.close()


async def test_a_reply_that_called_is_deleted_as_a_whole(chat: Chat) -> None:
    writes(chat, TWO, "Rain.", "Fine.")
    async with client_of(chat) as http:
        made = (await http.post("/v1/conversations")).json()["id"]
        body = {"conversation": made, "tools": [WEATHER, MAIL]}
        first = (await http.post("/v1/responses", json={**body, "input": "weather?"})).json()
        _, *calls = first["output"]
        refused = await http.post("/v1/responses", json={**body, "input": "never mind"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")
        results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "ok"} for call in calls]
        await http.post("/v1/responses", json={**body, "input": results})
        deleted = await http.delete(f"/v1/conversations/{made}/items/{calls[1]['id']}")
        assert deleted.status_code == 200
        left = (await http.get(f"/v1/conversations/{made}/items")).json()["data"]
        assert [item["type"] for item in left] == ["message", "function_call_output", "function_call_output", "message"]
        after = await http.post("/v1/responses", json={**body, "input": "and now?"})
        assert after.status_code == 200, "results whose calls are gone are not said any more"
        assert "<tool_response>" not in chat.prompt
        fork = await http.post(f"/v1/conversations/{made}/fork", json={"item_id": left[-1]["id"]})
        assert fork.status_code == 200
