"""Several choices, on the endpoints that have them."""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from openai import OpenAI
from tests.server.api.test_disconnects import running, wait_until_idle
from tests.support.server import ServerProcess

CHAT: Final = "/v1/chat/completions"
BARE: Final = "/v1/completions"
HIGHEST: Final = 2**63 - 1
TOLD: Final[dict[str, Any]] = {"include": ["warmturn.token_ids"], "max_tokens": 8, "ignore_eos": True, "temperature": 1}
PROMPTS: Final[dict[str, dict[str, Any]]] = {
    CHAT: {"messages": [{"role": "user", "content": "Who is it that comes several times?"}]},
    BARE: {"prompt": "Whoever comes several times"},
}

LONG: Final = {**PROMPTS[CHAT], "n": 3, "max_tokens": 1_900, "ignore_eos": True, "reuse": "nothing"}
"""Minutes of work, if nobody stops it."""


@pytest.fixture(scope="module")
def http(shared_server: ServerProcess) -> Iterator[httpx.Client]:
    with shared_server.client() as client:
        yield client


def ask(http: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    reply = http.post(path, json={**TOLD, **PROMPTS[path], **body})
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def pieces_of(http: httpx.Client, path: str, **body: Any) -> list[dict[str, Any]]:
    events = http.post(path, json={**TOLD, **PROMPTS[path], **body, "stream": True}).text.split("\n\n")
    return [json.loads(event[6:]) for event in events if event.startswith("data: {")]


def text_of(choice: dict[str, Any]) -> str:
    said = choice.get("message") or choice.get("delta") or {"content": choice.get("text")}
    return said.get("content") or ""


@pytest.mark.parametrize("path", PROMPTS)
@pytest.mark.parametrize("seed", [7, HIGHEST])
def test_each_says_what_it_says_alone_with_the_next_seed(http: httpx.Client, path: str, seed: int) -> None:
    seeds = [seed, 8, 9] if seed == 7 else [seed, -(2**63), -(2**63) + 1]
    together = ask(http, path, n=3, seed=seed)
    assert [choice["index"] for choice in together["choices"]] == [0, 1, 2]
    alone = [ask(http, path, seed=each) for each in seeds]
    assert [text_of(choice) for choice in together["choices"]] == [text_of(each["choices"][0]) for each in alone]
    said = {tuple(choice["warmturn"]["output_token_ids"]) for choice in together["choices"]}
    assert len(said) == 3
    prompt = alone[0]["usage"]["prompt_tokens"]
    usage = together["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (prompt, 24, prompt + 24)
    further = [choice["warmturn"] for choice in together["choices"][1:]]
    assert [report["prefilled_tokens"] for report in further] == [1, 1]


@pytest.mark.parametrize("path", PROMPTS)
def test_streamed_they_come_beside_each_other(http: httpx.Client, path: str) -> None:
    whole = ask(http, path, n=3, seed=3, max_tokens=30)
    *pieces, last = pieces_of(http, path, n=3, seed=3, max_tokens=30, stream_options={"include_usage": True})
    assert len({piece["id"] for piece in [*pieces, last]}) == 1
    told = [choice for piece in pieces for choice in piece["choices"]]
    for choice in whole["choices"]:
        own = [each for each in told if each["index"] == choice["index"]]
        assert "".join(text_of(each) for each in own) == text_of(choice)
        assert [each["finish_reason"] for each in own if each["finish_reason"]] == [choice["finish_reason"]]
    speakers = [each["index"] for each in told if text_of(each)]
    assert speakers != sorted(speakers)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == whole["usage"]["total_tokens"]


@pytest.mark.parametrize("asked", [{"include_usage": True}, {"include_usage": False}])
@pytest.mark.parametrize("path", PROMPTS)
def test_each_chunk_tells_what_was_used_so_far(http: httpx.Client, path: str, asked: dict[str, Any]) -> None:
    whole = ask(http, path, n=3, seed=3)["usage"]
    pieces = pieces_of(http, path, n=3, seed=3, stream_options={**asked, "continuous_usage_stats": True})
    assert {len(piece["usage"]) for piece in pieces if piece["choices"]} == {3}
    used = [piece["usage"]["completion_tokens"] for piece in pieces]
    assert used == sorted(used)
    assert 0 <= used[0] < used[len(used) // 2] < used[-1] == whole["completion_tokens"] == 24
    assert {piece["usage"]["prompt_tokens"] for piece in pieces} == {whole["prompt_tokens"]}
    assert all(
        piece["usage"]["total_tokens"] == whole["prompt_tokens"] + at for piece, at in zip(pieces, used, strict=True)
    )
    assert bool(pieces[-1]["choices"]) is not asked["include_usage"]


def test_without_a_seed_each_is_random(http: httpx.Client) -> None:
    said = [tuple(choice["warmturn"]["output_token_ids"]) for choice in ask(http, CHAT, n=4)["choices"]]
    assert len(set(said)) > 1


def test_several_prompts_have_theirs_each_in_its_place(http: httpx.Client) -> None:
    together = ask(http, BARE, prompt=["the cat", "where were"], n=2, seed=5, best_of=2)
    alone = [ask(http, BARE, prompt=prompt, seed=seed) for prompt in ("the cat", "where were") for seed in (5, 6)]
    assert [text_of(choice) for choice in together["choices"]] == [text_of(each["choices"][0]) for each in alone]
    assert together["usage"]["prompt_tokens"] == sum(each["usage"]["prompt_tokens"] for each in alone[::2])


def test_openais_client_takes_them(openai_client: OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"model": model, **PROMPTS[CHAT], "max_tokens": 6, "n": 2, "seed": 1}
    reply = openai_client.chat.completions.create(**asked)
    assert [choice.index for choice in reply.choices] == [0, 1]
    said = ["", ""]
    for chunk in openai_client.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
    assert said == [choice.message.content for choice in reply.choices]


@pytest.mark.parametrize("streams", [False, True])
def test_who_goes_away_ends_all_of_them(shared_server: ServerProcess, streams: bool) -> None:
    long = {**LONG, "stream": streams}
    if streams:
        with shared_server.client() as http, http.stream("POST", CHAT, json=long) as reply:
            next(reply.iter_lines())
    else:
        with shared_server.client(timeout_seconds=0.5) as http, pytest.raises(httpx.ReadTimeout):
            http.post(CHAT, json=long)
    wait_until_idle(shared_server)


def test_a_cancel_ends_all_of_them(shared_server: ServerProcess) -> None:
    with shared_server.client() as http, shared_server.client() as another:
        with http.stream("POST", CHAT, json={**LONG, "stream": True}) as reply:
            named = reply.headers["X-Warmturn-Response"]
            assert another.post(f"/v1/responses/{named}/cancel").json()["status"] == "cancelled"
            chunks = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: {")]
        wait_until_idle(shared_server)
    ends = [choice["index"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert sorted(ends) == [0, 1, 2]
    assert running(shared_server) == 0


@pytest.mark.parametrize("path", PROMPTS)
def test_how_many_is_limited(http: httpx.Client, path: str) -> None:
    for count in (0, 33, 10**9):
        error = http.post(path, json={**PROMPTS[path], "n": count}).json()["error"]
        assert (error["param"], error["code"]) == ("n", "invalid_value")


def test_what_any_of_them_said_is_gone_on_from(http: httpx.Client) -> None:
    """Whichever the client chooses: on the very ids that were generated."""
    for choice in ask(http, CHAT, n=3, seed=9, max_tokens=12)["choices"]:
        messages = [*PROMPTS[CHAT]["messages"], choice["message"], {"role": "user", "content": "Go on."}]
        again = ask(http, CHAT, messages=messages)["warmturn"]
        ids = choice["warmturn"]["prompt_token_ids"] + choice["warmturn"]["output_token_ids"]
        assert again["record_tokens"] >= len(ids) - 2
        assert again["prompt_token_ids"][: len(ids) - 2] == ids[:-2]
