"""Every field that a client can know of is honoured, harmless or refused by its name; none is ignored with a 200."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args, get_type_hints

import httpx
import pytest
from openai.types import conversations as conversation_types
from openai.types import responses as response_types
from openai.types.chat import (
    ChatCompletionMessageParam,
    ChatCompletionStreamOptionsParam,
    completion_create_params,
)
from openai.types.responses import EasyInputMessageParam, ResponseIncludable, response_create_params
from openai.types.responses.response_input_item_param import Message as InputItem
from openai.types.responses.response_output_message_param import ResponseOutputMessageParam
from tests.support.fields_of_others import ADAPTERS, LLAMA_CPP, VLLM
from tests.support.server import ServerProcess

from warmturn_server.api.completions.body import CreateCompletion
from warmturn_server.api.completions.stream_options import StreamOptions
from warmturn_server.api.conversations import CreateConversation, CreateItems, ForkConversation, UpdateConversation
from warmturn_server.api.fields import Decided
from warmturn_server.api.messages import InputMessage, InputPart
from warmturn_server.api.responses.body import CreateResponse

USER: Final = [{"role": "user", "content": "who?"}]
TOOL: Final = {"type": "function", "name": "f", "parameters": {}, "function": {"name": "f", "parameters": {}}}
OPENAI: Final[Mapping[str, object]] = {
    "access_programs": {"a": 1},
    "audio": {"voice": "alloy", "format": "wav"},
    "background": True,
    "background_options": {"completion_window": "2h"},
    "context_management": [{"type": "compaction"}],
    "frequency_penalty": 0.5,
    "function_call": {"name": "f"},
    "functions": [{"name": "f"}],
    "image": {"quality": "low"},
    "include": ["reasoning.encrypted_content"],
    "instructions": "Be brief.",
    "logit_bias": {"5": 10},
    "logprobs": True,
    "max_completion_tokens": 2,
    "max_output_tokens": 2,
    "max_tokens": 2,
    "max_tool_calls": 2,
    "metadata": {"a": "b"},
    "modalities": ["text", "audio"],
    "moderation": {"mode": "block"},
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "a"},
    "presence_penalty": 0.5,
    "prompt": {"id": "pmpt_1"},
    "prompt_cache_key": "a",
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "reasoning": {"effort": "high"},
    "reasoning_effort": "high",
    "response_format": {"type": "json_object"},
    "safety_identifier": "a",
    "seed": 3,
    "service_tier": "flex",
    "stop": ["the"],
    "store": True,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "temperature": 0.5,
    "text": {"format": {"type": "text"}},
    "tool_choice": "none",
    "tools": [TOOL],
    "top_logprobs": 2,
    "top_p": 0.5,
    "truncation": "auto",
    "user": "a",
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
}
ELSEWHERE: Final = {"input", "messages", "model", "conversation", "previous_response_id", "chat_template_kwargs"}
"""What a request cannot do without, or what other tests are about."""
WITH: Final[Mapping[str, dict[str, object]]] = {
    "top_logprobs": {"include": ["message.output_text.logprobs"]},
    "tools": {"tool_choice": "none"},
}
"""What goes along; the model here calls no functions."""
VALUES: Final = {**VLLM, **LLAMA_CPP, **ADAPTERS, **OPENAI}


def fields(*types: Any) -> set[str]:
    return {name for kind in types for name in get_type_hints(kind)}


def published(module: Any) -> list[Any]:
    """The shapes of a request: with and without streaming."""
    return [value for name, value in vars(module).items() if name.endswith(("Base", "Streaming")) and "Params" in name]


BODIES: Final[list[tuple[type[Decided], set[str]]]] = [
    (CreateCompletion, fields(*published(completion_create_params)) | VALUES.keys()),
    (CreateResponse, fields(*published(response_create_params)) | VALUES.keys()),
    (CreateConversation, fields(conversation_types.ConversationCreateParams)),
    (UpdateConversation, fields(conversation_types.ConversationUpdateParams)),
    (CreateItems, fields(conversation_types.ItemCreateParams) - {"include"}),
    (StreamOptions, fields(ChatCompletionStreamOptionsParam)),
    (StreamOptions, fields(response_create_params.StreamOptions)),
    (InputMessage, fields(EasyInputMessageParam, InputItem, ResponseOutputMessageParam)),
    (InputMessage, fields(*get_args(ChatCompletionMessageParam)) - {"tool_call_id"}),
    (InputPart, fields(response_types.ResponseInputTextParam, response_types.ResponseOutputTextParam)),
    (InputPart, fields(response_types.ResponseOutputRefusalParam)),
]


@pytest.mark.parametrize(("body", "names"), BODIES, ids=lambda part: getattr(part, "__name__", ""))
def test_every_published_field_is_decided_on(body: type[Decided], names: set[str]) -> None:
    assert names, "a type without fields would decide nothing"
    assert names - body.fields_of.decided == set()


@pytest.mark.parametrize("body", [*dict(BODIES), ForkConversation])
def test_each_decision_is_one_and_is_carried_out(body: type[Decided]) -> None:
    of, declared = body.fields_of, set(body.model_fields)
    assert declared <= of.decided
    assert of.honoured <= declared, "what nobody reads is not honoured"
    assert not (of.honoured & of.harmless.keys()) | (of.honoured & of.refused.keys() - declared)
    assert not of.harmless.keys() & of.refused.keys()


@pytest.fixture(scope="module")
def http(shared_server: ServerProcess) -> Iterator[httpx.Client]:
    with shared_server.client() as client:
        yield client


APIS: Final[dict[str, tuple[type[Decided], dict[str, object]]]] = {
    "/v1/chat/completions": (CreateCompletion, {"messages": USER, "max_tokens": 1}),
    "/v1/responses": (CreateResponse, {"input": "who?", "max_output_tokens": 1}),
}


@pytest.mark.parametrize("path", APIS)
def test_over_http_each_is_served_or_refused_by_its_name(http: httpx.Client, path: str) -> None:
    body, common = APIS[path]
    wrong = dict[str, object]()
    for name in sorted(body.fields_of.decided - ELSEWHERE):
        value = {"reuse": "nothing", "tokens": "canonical", "on_disconnect": "keep"}.get(name, VALUES.get(name))
        assert value is not None, f"{name} has no value to ask with"
        given = {**common, **WITH.get(name, {})}
        if name == "continue_final_message":
            given["messages" if "messages" in common else "input"] = [*USER, {"role": "assistant", "content": "I"}]
        reply = http.post(path, json={**given, name: value})
        if name in body.fields_of.refused:
            error = reply.json().get("error", {})
            is_right = reply.status_code == 400 and error["param"] == name and error["code"].startswith("unsupported_")
            is_right = is_right and error["type"] == "invalid_request_error" and len(error["message"]) > len(name) + 20
        else:
            is_right = reply.status_code == 200
        if not is_right:
            wrong[name] = reply.text[:200]
    assert wrong == {}


@pytest.mark.parametrize("path", APIS)
def test_defaults_that_clients_send_are_no_wishes(http: httpx.Client, path: str) -> None:
    body, common = APIS[path]
    nothing = {name: refused.unless[0] for name, refused in body.fields_of.refused.items() if refused.unless}
    empty = {name: None for name in body.fields_of.refused if name not in nothing}
    assert len(nothing) > 20
    assert http.post(path, json={**common, **empty, **nothing}).status_code == 200


@pytest.mark.parametrize("path", APIS)
def test_what_can_be_included_is_openais_or_ours(http: httpx.Client, path: str) -> None:
    _, common = APIS[path]
    for name in (*get_args(ResponseIncludable), "warmturn.token_ids", "warmturn.lookback"):
        assert http.post(path, json={**common, "include": [name]}).status_code == 200, name
    for name in ("reasoning", "warmturn.tokens", "logprobs"):
        error = http.post(path, json={**common, "include": [name]}).json()["error"]
        assert (error["param"], error["code"]) == ("include[0]", "invalid_value")
        assert name in error["message"]


def test_of_what_is_read_later_too(http: httpx.Client) -> None:
    made = http.post("/v1/responses", json={"input": "who?", "max_output_tokens": 1}).json()["id"]
    path = f"/v1/responses/{made}"
    assert http.get(path, params={"include": "reasoning.encrypted_content"}).status_code == 200
    conversation = http.post("/v1/conversations", json={"items": USER}).json()["id"]
    for readable in (path, f"{path}/input_items", f"/v1/conversations/{conversation}/items"):
        assert http.get(readable, params={"include": "reasoning.encrypted_content"}).status_code == 200
        for query in ({"include[]": "logprobs"}, {"include": "warmturn.token_ids"}):
            reply = http.get(readable, params=query)
            assert (reply.status_code, reply.json()["error"]["param"]) == (400, "include")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("responses", {"input": [{"role": "assistant", "content": "x", "audio": {"id": "a"}}]}, "input[0].audio"),
        (
            "chat/completions",
            {"messages": [*USER, {"role": "assistant", "function_call": {"name": "f"}}]},
            "messages[1].function_call",
        ),
        ("responses", {"input": "x", "text": {"verbosity": "high"}}, "text.verbosity"),
    ],
)
def test_a_field_within_another_is_named_with_its_place(
    http: httpx.Client, path: str, body: dict[str, object], param: str
) -> None:
    error = http.post(f"/v1/{path}", json=body).json()["error"]
    assert (error["param"], error["code"][:12]) == (param, "unsupported_")


def test_a_refusal_that_is_resent_is_what_was_said(http: httpx.Client) -> None:
    told = {"include": ["warmturn.token_ids"], "max_tokens": 1}
    refused = [*USER, {"role": "assistant", "content": None, "refusal": "I will not."}, *USER]
    said = [*USER, {"role": "assistant", "content": "I will not."}, *USER]
    prompts = [
        http.post("/v1/chat/completions", json={"messages": messages, **told}).json()["warmturn"]["prompt_token_ids"]
        for messages in (refused, said)
    ]
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize("path", APIS)
@pytest.mark.parametrize("streams", [False, True])
def test_a_slip_in_a_fields_name_is_told(http: httpx.Client, path: str, streams: bool) -> None:
    _, common = APIS[path]
    slips = {"max_token": 5, "a" * 100: 1, **{f"future_{number:02}": 1 for number in range(40)}}
    reply = http.post(path, json={**common, **slips, "user": "me", "mirostat": 0, "stream": streams})
    assert reply.status_code == 200
    told = ["a" * 64, *(f"future_{number:02}" for number in range(15))]
    assert f'"skipped_fields":{json.dumps(told, separators=(",", ":"))}' in reply.text
    assert "skipped_fields" not in http.post(path, json={**common, "user": "me", "stream": streams}).text
