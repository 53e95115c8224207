"""What surrounds a request: its id, its packing, what it says of caching; and what other servers have."""

import gzip
import zlib
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from openai import BadRequestError, OpenAI
from tests.server.api.asking import extension, say
from tests.support.server import ServerProcess

BODY: Final = b'{"input": "where?", "max_output_tokens": 1}'
JSON: Final = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def http(shared_server: ServerProcess) -> Iterator[httpx.Client]:
    with shared_server.client() as client:
        yield client


def post(http: httpx.Client, body: bytes, coding: str) -> httpx.Response:
    return http.post("/v1/responses", content=body, headers={**JSON, "Content-Encoding": coding})


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
    ],
    ids=["gzip", "in capitals", "deflate", "as it is"],
)
def test_a_body_may_be_packed(http: httpx.Client, coding: str, packed: bytes) -> None:
    assert post(http, packed, coding).json()["usage"]["output_tokens"] == 1


@pytest.mark.parametrize(
    ("coding", "packed", "status"),
    [
        ("gzip", gzip.compress(b" " * 2**24 + BODY), 413),
        ("gzip", BODY, 400),
        ("gzip", gzip.compress(BODY)[:-9], 400),
        ("gzip", gzip.compress(BODY) + b"more", 400),
        ("br", BODY, 415),
        ("gzip", gzip.compress(b"{"), 400),
    ],
    ids=["bomb", "no gzip", "half of one", "more behind it", "unknown", "no JSON in it"],
)
def test_one_that_is_packed_badly_is_refused(http: httpx.Client, coding: str, packed: bytes, status: int) -> None:
    reply = post(http, packed, coding)
    assert reply.status_code == status
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert http.get("/health").status_code == 200


def test_every_reply_has_an_id_its_own_or_the_one_that_was_given(http: httpx.Client) -> None:
    ids = [http.get(path).headers["x-request-id"] for path in ("/health", "/v1/models", "/nowhere")]
    assert len(set(ids)) == 3
    assert all(each.startswith("req_") for each in ids)
    assert http.get("/health", headers={"X-Request-ID": "mine-1.2:3"}).headers["x-request-id"] == "mine-1.2:3"
    for forged in ("a b", "x" * 129, "a\tb"):
        assert http.get("/health", headers={"X-Request-ID": forged}).headers["x-request-id"].startswith("req_")


def test_openais_client_knows_it(openai_client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refusal:
        say(openai_client, "x", temperature=9)
    assert (refusal.value.request_id or "").startswith("req_")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/moderations", "/v1/messages"])
def test_what_is_not_here_is_refused_by_its_name(http: httpx.Client, path: str) -> None:
    reply = http.post(path, json={"input": "x"})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (404, "unsupported_endpoint")
    assert error["message"].startswith(f"{path}: ")


def test_the_tokens_of_an_input_are_counted_without_a_reply(openai_client: OpenAI) -> None:
    chat = openai_client.conversations.create(items=[{"type": "message", "role": "user", "content": "the cat"}])
    given: dict[str, Any] = {"input": "where?", "instructions": "Be brief.", "conversation": chat.id}
    counted = openai_client.responses.input_tokens.count(**given)
    assert counted.object == "response.input_tokens"
    assert len(openai_client.conversations.items.list(chat.id).data) == 1
    assert counted.input_tokens == extension(openai_client.responses.create(**given))["prompt_tokens"]


PART: Final[dict[str, Any]] = {"type": "input_text", "text": "x"}
MARKED: Final = [{"role": "user", "content": [{**PART, "cache_control": {"type": "ephemeral"}}]}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt_cache_options": {"ttl": "7d"}}, "prompt_cache_options.ttl"),
        ({"prompt_cache_options": {"mode": "automatic"}}, "prompt_cache_options.mode"),
        ({"prompt_cache_options": {"other": 1}}, "prompt_cache_options.other"),
        ({"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
        (
            {"input": [{"role": "user", "content": [{**PART, "cache_control": {"type": "ephemeral", "ttl": "12h"}}]}]},
            "input[0].content[0].cache_control.ttl",
        ),
        (
            {"input": [{"role": "user", "content": [{**PART, "prompt_cache_breakpoint": {"ttl": "5m"}}]}]},
            "input[0].content[0].prompt_cache_breakpoint.ttl",
        ),
    ],
)
def test_what_cannot_be_promised_of_a_cache_is_refused(http: httpx.Client, fields: dict[str, Any], param: str) -> None:
    reply = http.post("/v1/responses", json={"input": "x", **fields})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_marks_and_what_is_the_case_anyway_are_taken(http: httpx.Client) -> None:
    part = {"type": "input_text", "text": "y", "prompt_cache_breakpoint": {"mode": "explicit"}}
    given = {"input": [*MARKED, {"role": "user", "content": [part]}], "prompt_cache_options": {"mode": "implicit"}}
    assert http.post("/v1/responses", json={**given, "max_output_tokens": 1}).status_code == 200


def test_hints_of_where_a_session_was_change_nothing(http: httpx.Client) -> None:
    """Neither one's own, nor that of another conversation: the tokens alone decide what is found."""
    other = {"messages": [{"role": "user", "content": "Of lighthouses, at some length."}]}
    asked = {"messages": [{"role": "user", "content": "Of harbours, at some length."}]}
    hints = {"X-Session-ID": "s", "X-Correlation-ID": "s", "X-OpenWebUI-Chat-Id": "s"}
    fields = {"prompt_cache_key": "s", "session_id": "s"}
    common = {"max_tokens": 2, "temperature": 0, "include": ["warmturn.token_ids"]}
    reports = []
    for body, headers in ({**other, **fields}, hints), (asked, {}), ({**asked, **fields}, hints), (asked, {}):
        reply = http.post("/v1/chat/completions", json={**common, **body}, headers=headers)
        reports.append(reply.json()["warmturn"])
    _, first, hinted, plain = reports
    assert hinted["prompt_token_ids"] == plain["prompt_token_ids"] == first["prompt_token_ids"]
    assert hinted["output_token_ids"] == plain["output_token_ids"]
    assert hinted["cached_tokens"] == plain["cached_tokens"] > first["cached_tokens"]
