"""Whatever goes wrong is said in OpenAI's shape, and is never a 5xx where the caller is at fault."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.server.api.asking import code_of
from tests.support.models import TinyModels
from tests.support.server import ServerProcess

KEY = "secret-ключ"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("PUT", "/v1/responses", 405, "method_not_allowed"),
        ("GET", "/v1/conversations/conv_none", 404, "conversation_not_found"),
        ("GET", "/v1/conversations/conv_none/items", 404, "conversation_not_found"),
        ("DELETE", "/v1/conversations/conv_none", 404, "conversation_not_found"),
        ("POST", "/v1/conversations/conv_none/fork", 404, "conversation_not_found"),
        ("GET", "/v1/responses/resp_none", 404, "response_not_found"),
        ("DELETE", "/v1/responses/resp_none", 404, "response_not_found"),
        ("GET", "/v1/responses/resp_none/input_items", 404, "response_not_found"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
    ],
)
def test_what_is_not_there(shared_server: ServerProcess, method: str, path: str, status: int, code: str) -> None:
    with shared_server.client() as http:
        reply = http.request(method, path)
    assert reply.status_code == status
    assert set(reply.json()) == {"error"}
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert reply.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"", "invalid_value", None),
        (b"[" * 100_000, None, None),
        (b"\xff", None, None),
        (b'{"input": 5}', "invalid_value", "input"),
        (b'{"input": "x", "temperature": NaN}', "invalid_value", "temperature"),
        (b'{"input": "x", "temperature": 3}', "invalid_value", "temperature"),
        (b'{"input": "x", "max_output_tokens": 0}', "invalid_value", "max_output_tokens"),
        (b'{"input": "x", "max_output_tokens": 1' + b"0" * 5000 + b"}", None, None),
        (b'{"input": "x", "metadata": {"a": 1}}', "invalid_value", "metadata.a"),
        (b'{"input": "\\ud800"}', "invalid_value", "input"),
        (
            b'{"input": [{"role": "user", "content": [{"type": "input_image"}]}]}',
            "invalid_value",
            "input[0].content[0]",
        ),
        (b'{"input": [{"type": "item_reference", "id": "msg_1"}]}', "item_not_found", "input"),
        (b'{"input": "x", "background": true, "store": false}', "invalid_value", "background"),
        (b'{"input": "x", "prompt": {"id": "p"}}', "unsupported_parameter", "prompt"),
        (b'{"input": "x", "tool_choice": "required"}', "invalid_value", "tool_choice"),
        (b'{"input": "x", "chat_template": "{{ x }}"}', "unsupported_parameter", "chat_template"),
        (b'{"input": "x", "text": {"format": {"type": "json_schema"}}}', "invalid_value", "text.format.name"),
        (b'{"input": "x", "text": {"format": 5}}', "invalid_value", "text.format"),
        (b'{"input": "x", "text": {"format": {}}}', "invalid_value", "text.format.type"),
        (b'{"input": "x", "reuse": "all"}', "invalid_value", "reuse"),
        (b'{"input": "x", "tools": [{"a": NaN}]}', "invalid_value", "tools[0].name"),
        (b'{"input": "x", "reasoning": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}", "invalid_value", "reasoning"),
        (b'{"input": []}', None, "input"),
        (b'{"input": "x", "model": "gpt-9"}', "model_not_found", "model"),
        (b'{"input": "x", "conversation": "c", "previous_response_id": "r"}', "mutually_exclusive_parameters", None),
    ],
)
def test_bodies_that_cannot_be_served(
    shared_server: ServerProcess, body: bytes, code: str | None, param: str | None
) -> None:
    with shared_server.client() as http:
        reply = http.post("/v1/responses", content=body, headers={"content-type": "application/json"})
    error = reply.json()["error"]
    assert reply.status_code in (400, 404)
    assert error["type"] == "invalid_request_error" and error["message"]
    assert code is None or error["code"] == code
    assert param is None or error["param"] == param


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"input": "x", "stop": ["a"] * 17}, "at most 16"),
        ({"input": "x", "stop": "a" * 513}, "at most 512"),
        ({"input": [{"role": "user", "content": "x"}] * 4097}, "at most 4096"),
    ],
)
def test_a_limit_is_named_where_a_field_has_several_types(
    shared_server: ServerProcess, body: dict[str, Any], limit: str
) -> None:
    with shared_server.client() as http:
        error = http.post("/v1/responses", json=body).json()["error"]
    assert error["param"] in ("stop", "input") and limit in error["message"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/conversations"])
@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_said_to_be_json(shared_server: ServerProcess, path: str, content_type: str | None) -> None:
    with shared_server.client() as http:
        headers = {} if content_type is None else {"content-type": content_type}
        reply = http.post(path, content=b'{"input": "hi"}', headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "unsupported_content_type")
    assert "Content-Type: application/json" in reply.json()["error"]["message"]


def test_a_prompt_that_never_fits(openai_client: OpenAI, model: str) -> None:
    long = "who? " * 3_000
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.responses.create(model=model, input=long)
    assert code_of(refused.value) == (400, "context_length_exceeded", "input")
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.chat.completions.create(model=model, messages=[{"role": "user", "content": long}])
    assert code_of(refused.value) == (400, "context_length_exceeded", "messages")


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_beyond_the_limit(shared_server: ServerProcess, chunked: bool) -> None:
    body = json.dumps({"input": "x" * 2**20}).encode()
    content = iter([body[:1000], body[1000:]]) if chunked else body
    with shared_server.client() as http:
        reply = http.post("/v1/responses", content=content, headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")


@pytest.fixture
def server_with_key(tiny_models: TinyModels, tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tiny_models(), tmp_path / "data", environment={"WARMTURN_API_KEY": KEY}) as server:
        yield server


def test_a_server_with_a_key(server_with_key: ServerProcess) -> None:
    with server_with_key.client() as http:

        def status(path: str, header: bytes | None = None) -> int:
            reply = http.get(path, headers={} if header is None else {b"authorization": header})
            assert reply.is_success or reply.json()["error"]["code"] == "invalid_api_key"
            return reply.status_code

        assert [status(path) for path in ("/health", "/ready")] == [200, 200]
        assert [status(path) for path in ("/metrics", "/v1/models", "/nothing", "/v1/health")] == [401] * 4
        for wrong in (
            b"",
            KEY.encode(),
            f"Bearer {KEY}x".encode(),
            f"Basic {KEY}".encode(),
            b"Bearer \xff",
            b"Basic c2VjcmV0",
        ):
            assert status("/v1/models", wrong) == 401
        for scheme in ("Bearer", "bearer", "BEARER", "Bearer "):
            assert status("/v1/models", f"{scheme} {KEY}".encode()) == 200
    client = OpenAI(base_url=f"{server_with_key.base_url}/v1", api_key="wrong", max_retries=0)
    with client, pytest.raises(openai.AuthenticationError) as refused:
        client.models.list()
    assert code_of(refused.value) == (401, "invalid_api_key", None)
