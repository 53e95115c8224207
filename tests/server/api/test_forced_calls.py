"""Calls that a real server makes because it has to, and what OpenAI's client makes of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from tests.support.launch import forked
from tests.support.models import make_model
from tests.support.server import ServerProcess

SCHEMA = {
    "type": "object",
    "properties": {"page": {"type": "integer", "minimum": 0, "maximum": 9}, "of": {"enum": ["a", "b"]}},
    "required": ["page", "of"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "name": "read", "parameters": SCHEMA, "strict": True}
IN_CHAT: Any = [{"type": "function", "function": {"name": "read", "parameters": SCHEMA, "strict": True}}]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    folder = tmp_path_factory.mktemp("calling")
    make_model(folder / "model", template="qwen-coder")
    server = ServerProcess(folder / "model", folder / "data", "--block-size", "8", launch=forked)
    with (
        server,
        OpenAI(base_url=f"{server.base_url}/v1", api_key="x", max_retries=0, _strict_response_validation=True) as made,
    ):
        yield made


def is_right(arguments: str) -> bool:
    given = json.loads(arguments)
    return given.keys() == {"page", "of"} and given["page"] in range(10) and given["of"] in ("a", "b")


def test_an_agents_loop_of_responses(client: OpenAI) -> None:
    """Each step says a result; all that came before is still there, up to one block."""
    model = client.models.list().data[0].id
    made = client.conversations.create().id
    given: Any = "What is on the pages?"
    seen = 0
    for _ in range(4):
        reply = client.responses.create(
            model=model,
            conversation=made,
            input=given,
            tools=[TOOL],
            tool_choice="required",
            max_output_tokens=160,
            parallel_tool_calls=False,
            extra_body={"seed": 3},
        )
        (call,) = reply.output
        assert call.type == "function_call"
        assert call.status == "completed"
        assert is_right(call.arguments)
        usage = reply.usage
        assert usage is not None
        assert seen - 8 <= usage.input_tokens_details.cached_tokens
        seen = usage.total_tokens - 1
        given = [{"type": "function_call_output", "call_id": call.call_id, "output": "Nothing is on it but this."}]


def test_a_stream_of_chunks_is_put_together(client: OpenAI) -> None:
    model = client.models.list().data[0].id
    choice: Any = {"type": "function", "function": {"name": "read"}}
    with client.chat.completions.stream(
        model=model,
        messages=[{"role": "user", "content": "x"}],
        tools=IN_CHAT,
        tool_choice=choice,
        parallel_tool_calls=False,
        max_tokens=160,
    ) as stream:
        whole = stream.get_final_completion()
    called = whole.choices[0].message.tool_calls
    assert called is not None
    (call,) = called
    assert whole.choices[0].finish_reason == "tool_calls"
    assert is_right(call.function.arguments)


def test_a_stream_of_events_is_put_together(client: OpenAI) -> None:
    model = client.models.list().data[0].id
    with client.responses.stream(
        model=model, input="x", tools=[TOOL], tool_choice="required", parallel_tool_calls=False, max_output_tokens=160
    ) as stream:
        done = [event for event in stream if event.type == "response.function_call_arguments.done"]
        whole = stream.get_final_response()
    assert [event.arguments for event in done] == [
        item.arguments for item in whole.output if item.type == "function_call"
    ]
    assert is_right(done[0].arguments)
