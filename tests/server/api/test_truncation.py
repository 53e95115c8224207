"""`truncation: "auto"` on both APIs: what no longer fits is left out, and the reply says how much."""

from collections.abc import Iterator

import httpx
import pytest
from tests.support.models import CONTEXT_LENGTH
from tests.support.server import ServerProcess
from tests.support.talk import Json
from tests.support.tokenizer import tiny_tokenizer

SYSTEM = {"role": "system", "content": "You are brief."}
LONG = [
    {"role": role, "content": f"{role} says number {number}: " + "the cat is where the others are, " * 3}
    for number in range(30)
    for role in ("user", "assistant")
]
MESSAGES = [SYSTEM, *LONG, {"role": "user", "content": "and now?"}]
COMMON: Json = {"temperature": 0, "include": ["warmturn.token_ids"]}
BODIES = {
    "/v1/chat/completions": {**COMMON, "messages": MESSAGES, "max_tokens": 8},
    "/v1/responses": {**COMMON, "input": MESSAGES, "max_output_tokens": 8},
}


@pytest.fixture(scope="module")
def http(shared_server: ServerProcess) -> Iterator[httpx.Client]:
    with shared_server.client() as client:
        yield client


@pytest.mark.parametrize("path", BODIES)
def test_the_oldest_turns_go_and_the_reply_says_so(http: httpx.Client, path: str) -> None:
    for refused in ({}, {"truncation": "disabled"}):
        error = http.post(path, json={**BODIES[path], **refused}).json()["error"]
        assert error["code"] == "context_length_exceeded"
    reply = http.post(path, json={**BODIES[path], "truncation": "auto"}).json()
    report = reply["warmturn"]
    prompt = tiny_tokenizer().decode(report["prompt_token_ids"], skip_special_tokens=False)
    dropped = report["dropped_items"]
    assert 0 < dropped < len(LONG) - 2 and dropped % 2 == 0
    assert CONTEXT_LENGTH // 4 < report["prompt_tokens"] <= CONTEXT_LENGTH - 8
    first = LONG[dropped]["content"].strip()
    assert prompt.startswith(f"<|im_start|>system\nYou are brief.<|im_end|>\n<|im_start|>user\n{first}")
    assert prompt.endswith("and now?<|im_end|>\n<|im_start|>assistant\n")
    if path == "/v1/responses":
        assert reply["truncation"] == "auto"
        assert http.get(f"{path}/{reply['id']}").json()["truncation"] == "auto"


def test_the_next_turn_goes_on_from_its_state(http: httpx.Client) -> None:
    body: Json = {**COMMON, "truncation": "auto", "max_output_tokens": 8}
    first = http.post("/v1/responses", json={**body, "input": MESSAGES}).json()
    second = http.post("/v1/responses", json={**body, "input": "and?", "previous_response_id": first["id"]}).json()
    reports = first["warmturn"], second["warmturn"]
    assert reports[0]["dropped_items"] == reports[1]["dropped_items"]
    assert reports[1]["cached_tokens"] >= reports[0]["prompt_tokens"]
    assert reports[1]["miss"] is None


def test_a_question_that_never_fits_is_refused_all_the_same(http: httpx.Client) -> None:
    question = {"role": "user", "content": "who? " * 3000}
    reply = http.post("/v1/chat/completions", json={"messages": [*LONG, question], "truncation": "auto"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_what_fits_is_left_alone(http: httpx.Client) -> None:
    reply = http.post("/v1/responses", json={"input": "who?", "max_output_tokens": 1, "truncation": "auto"}).json()
    assert reply["warmturn"]["dropped_items"] == 0
