"""Replies in a form, on both APIs, in each of the ways in which clients ask for one."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import httpx
import jsonschema
import pytest
from openai import BadRequestError, OpenAI
from pydantic import BaseModel, Field
from tests.conftest import StartServer
from tests.server.api.asking import TOKEN_IDS, extension, part_of, say
from tests.support.models import TinyModels
from tests.support.server import ServerProcess
from tests.support.tokenizer import tiny_tokenizer

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
NAMED: Final = {"name": "person", "schema": SCHEMA, "strict": True}
FORMAT: Final = {"type": "json_schema", **NAMED}
RESPONSE_FORMAT: Final = {"type": "json_schema", "json_schema": NAMED}
USER: Final = [{"role": "user", "content": "who?"}]
LONG: Final[dict[str, Any]] = {"max_output_tokens": 120, "temperature": 1, "extra_body": {"seed": 4, **TOKEN_IDS}}
APIS: Final[dict[str, dict[str, Any]]] = {
    "/v1/responses": {"input": "who?", "max_output_tokens": 120, "seed": 4},
    "/v1/chat/completions": {"messages": USER, "max_tokens": 120, "seed": 4},
}


class Pet(BaseModel):
    """As clients of OpenAI's packages write one down."""

    name: str = Field(max_length=6)
    kind: Literal["cat", "dog"]
    lives: int | None = Field(ge=0, le=9)


@pytest.fixture(scope="module")
def http(shared_server: ServerProcess) -> Iterator[httpx.Client]:
    with shared_server.client() as client:
        yield client


def text_of(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    said = reply.json()
    if said["object"] == "response":
        assert said["status"] == "completed"
        return str(said["output"][0]["content"][0]["text"])
    assert said["choices"][0]["finish_reason"] == "stop"
    return str(said["choices"][0]["message"]["content"])


@pytest.mark.parametrize("path", APIS)
@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({"structured_outputs": {"json": SCHEMA}}, SCHEMA),
        (
            {"structured_outputs": {"json": json.dumps(SCHEMA), "disable_any_whitespace": True}},
            r'\{"name":".*","age":\d+\}',
        ),
        (
            {"structured_outputs": {"json": SCHEMA, "whitespace_pattern": " "}},
            r'\{ ?"name" ?: ?".*" ?, ?"age" ?: ?\d+ ?\}',
        ),
        ({"structured_outputs": {"regex": "[a-c]{3}"}}, "[a-c]{3}"),
        ({"structured_outputs": {"choice": ["yes", "no"]}}, "yes|no"),
        ({"structured_outputs": {"grammar": 'root ::= "a" [x-z] "b"'}}, "a[x-z]b"),
        ({"guided_json": SCHEMA, "guided_decoding_backend": "outlines"}, SCHEMA),
        ({"guided_json": json.dumps(SCHEMA), "guided_whitespace_pattern": ""}, r'\{"name":".*","age":\d+\}'),
        ({"guided_regex": "[a-c]{3}"}, "[a-c]{3}"),
        ({"guided_choice": ["yes", "no"]}, "yes|no"),
        ({"guided_grammar": 'start: "a" /[x-z]/ "b"'}, "a[x-z]b"),
        ({"json_schema": SCHEMA}, SCHEMA),
        ({"grammar": 'root ::= "a" [x-z] "b"'}, "a[x-z]b"),
    ],
    ids=lambda value: "/".join([*value, *value.get("structured_outputs", {})]) if isinstance(value, dict) else "",
)
def test_what_other_servers_call_it(http: httpx.Client, path: str, fields: dict[str, Any], form: Any) -> None:
    text = text_of(http.post(path, json={**APIS[path], **fields}))
    if isinstance(form, str):
        assert re.fullmatch(form, text, re.DOTALL)
    else:
        jsonschema.validate(json.loads(text), form)


@pytest.mark.parametrize("strict", [True, False, None])
def test_what_openai_calls_it(http: httpx.Client, strict: bool | None) -> None:
    """Not strict is not less: nobody asks for a form to get another one."""
    schema = {**NAMED, "strict": strict, "description": "Somebody."}
    answered = http.post(
        "/v1/responses", json={**APIS["/v1/responses"], "text": {"format": {"type": "json_schema", **schema}}}
    )
    completed = http.post(
        "/v1/chat/completions",
        json={**APIS["/v1/chat/completions"], "response_format": {"type": "json_schema", "json_schema": schema}},
    )
    assert text_of(answered) == text_of(completed)
    jsonschema.validate(json.loads(text_of(answered)), SCHEMA)


def test_any_object_at_all(http: httpx.Client) -> None:
    wish = {"type": "json_object"}
    ways: dict[str, list[dict[str, Any]]] = {
        "/v1/responses": [{"text": {"format": wish}}, {"structured_outputs": {"json_object": True}}],
        "/v1/chat/completions": [
            {"response_format": wish},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "anything"}}},
        ],
    }
    for path, fields in ways.items():
        for given in fields:
            nudged = {"logit_bias": {"95": 8, "4": 3, "93": 2}, "temperature": 0, **given}
            assert isinstance(json.loads(text_of(http.post(path, json={**APIS[path], **nudged}))), dict)


def test_openais_client_parses_it(openai_client: OpenAI, model: str) -> None:
    answered = openai_client.responses.parse(model=model, input="who?", text_format=Pet, **LONG)
    assert answered.output_parsed is not None
    completed = openai_client.chat.completions.parse(
        model=model,
        messages=[{"role": "user", "content": "who?"}],
        response_format=Pet,
        max_tokens=120,
        seed=4,
        temperature=1,
    )
    assert completed.choices[0].message.parsed == answered.output_parsed
    with openai_client.responses.stream(model=model, input="who?", text_format=Pet, **LONG) as stream:
        assert stream.get_final_response().output_parsed == answered.output_parsed


def test_the_response_says_which_form_it_has(openai_client: OpenAI) -> None:
    text: Any = {"format": FORMAT, "verbosity": "medium"}
    made = say(openai_client, "who?", text=text, **LONG)
    for response in (made, openai_client.responses.retrieve(made.id)):
        assert response.text is not None
        assert response.text.model_dump(by_alias=True, exclude_none=True) == text


def test_a_conversation_goes_on_from_it_and_the_form_was_for_that_reply_alone(openai_client: OpenAI) -> None:
    chat = openai_client.conversations.create()
    first = say(openai_client, "who?", conversation=chat.id, text={"format": FORMAT}, **LONG)
    jsonschema.validate(json.loads(first.output_text), SCHEMA)
    second = say(openai_client, "and?", conversation=chat.id, max_output_tokens=5)
    asked = extension(first)["prompt_token_ids"] + extension(first)["output_token_ids"]
    assert extension(second)["prompt_token_ids"][: len(asked) - 1] == asked[:-1]
    assert extension(second)["cached_tokens"] >= len(asked) - 1
    items = openai_client.conversations.items.list(chat.id, order="asc").data
    assert part_of(items[1]).text == first.output_text


@pytest.mark.parametrize("path", APIS)
def test_streamed_it_is_the_same(http: httpx.Client, path: str) -> None:
    body = {**APIS[path], "structured_outputs": {"json": SCHEMA}}
    whole = text_of(http.post(path, json=body))
    events = http.post(path, json={**body, "stream": True}).text
    found = re.findall(
        r'^data: (\{.*"(?:response\.output_text\.delta|chat\.completion\.chunk)".*\})$', events, re.MULTILINE
    )
    said = [json.loads(event) for event in found]
    pieces = [event["delta"] if "delta" in event else event["choices"][0]["delta"].get("content", "") for event in said]
    assert "".join(pieces) == whole


def test_cut_short_it_is_incomplete(openai_client: OpenAI) -> None:
    cut = say(openai_client, "who?", text={"format": FORMAT}, max_output_tokens=4)
    assert (cut.status, cut.incomplete_details and cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize("template", ["thinks", "opens_thought"])
def test_a_model_that_thinks_does_so_first(start_server: StartServer, tiny_models: TinyModels, template: str) -> None:
    """What it thinks has no form; whether it has to close a thought depends on who opened it."""
    server = start_server(model=tiny_models(template=template))
    ending = str(tiny_tokenizer().token_to_id("</think>"))
    with server.client() as http:
        body = {**APIS["/v1/responses"], "text": {"format": FORMAT}, "logit_bias": {ending: 9}, "seed": 7, **TOKEN_IDS}
        reply = http.post("/v1/responses", json=body).json()
        *thought, message = reply["output"]
        assert {item["type"] for item in thought} <= {"reasoning"}
        assert (int(ending) in reply["warmturn"]["output_token_ids"]) or template == "thinks"
        assert reply["status"] == "completed"
        jsonschema.validate(json.loads(message["content"][0]["text"]), SCHEMA)


BAD: Final = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "not": {}}}}}


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("responses", {"text": {"format": {**FORMAT, "schema": BAD}}}, "text.format.schema.properties.a.items"),
        (
            "chat/completions",
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": BAD}}},
            "response_format.json_schema.schema.properties.a.items",
        ),
        ("responses", {"structured_outputs": {"json": BAD}}, "structured_outputs.json.properties.a.items"),
        ("chat/completions", {"guided_json": json.dumps(BAD)}, "guided_json.properties.a.items"),
        ("chat/completions", {"guided_json": "{"}, "guided_json"),
        ("chat/completions", {"guided_json": "[1]"}, "guided_json"),
        ("chat/completions", {"guided_regex": "(a"}, "guided_regex"),
        ("chat/completions", {"guided_grammar": "root ::= ("}, "guided_grammar"),
        ("chat/completions", {"guided_choice": []}, "guided_choice"),
        ("chat/completions", {"guided_choice": [""]}, "guided_choice[0]"),
        ("responses", {"guided_regex": "a", "guided_choice": ["b"]}, "guided_choice"),
        ("responses", {"text": {"format": FORMAT}, "guided_regex": "a"}, "guided_regex"),
        ("responses", {"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs.choice"),
        ("responses", {"structured_outputs": {"structural_tag": "a"}}, "structured_outputs.structural_tag"),
        ("responses", {"structured_outputs": {"jsn": {}}}, "structured_outputs.jsn"),
        ("responses", {"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ("responses", {"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        ("responses", {"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}, "text.format.name"),
        ("responses", {"text": {"format": {**FORMAT, "strikt": True}}}, "text.format.strikt"),
        ("chat/completions", {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ("chat/completions", {"response_format": {"type": "json_object", "schema": SCHEMA}}, "response_format.schema"),
        ("chat/completions", {"guided_regex": "a", "ignore_eos": True}, "ignore_eos"),
        ("chat/completions", {"guided_regex": "a", "min_tokens": 1}, "min_tokens"),
        (
            "responses",
            {"guided_regex": "a", "continue_final_message": True, "input": [{"role": "assistant", "content": "a"}]},
            "continue_final_message",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused_with_its_place(
    http: httpx.Client, path: str, fields: dict[str, Any], param: str
) -> None:
    reply = http.post(f"/v1/{path}", json={**APIS[f"/v1/{path}"], **fields})
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert error["message"].startswith(param)


def test_openais_client_says_what_is_wrong(openai_client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refusal:
        say(
            openai_client,
            "who?",
            text={"format": {**FORMAT, "schema": {"type": "object", "unevaluatedProperties": False}}},
        )
    assert (refusal.value.code, refusal.value.param) == ("invalid_json_schema", "text.format.schema")
    assert "unevaluatedProperties" in refusal.value.message
