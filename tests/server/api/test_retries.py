"""`Idempotency-Key`: what is sent again is carried out once."""

import asyncio
import gc
import secrets
from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakSet

import httpx
import pytest
from openai import OpenAI
from tests.conftest import StartServer
from tests.server.api.in_process import client_of
from tests.server.api.test_disconnects import wait_until_idle
from tests.server.chat.driver import Chat
from tests.support.fault_proxy import FaultProxy
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk, checked

from warmturn_server.api import retries

BODIES: Final[dict[str, Json]] = {
    "/v1/responses": {"input": "who?", "max_output_tokens": 12, "ignore_eos": True},
    "/v1/chat/completions": {
        "messages": [{"role": "user", "content": "who?"}],
        "max_tokens": 12,
        "ignore_eos": True,
    },
    "/v1/completions": {"prompt": "who?", "max_tokens": 12, "ignore_eos": True},
    "/v1/conversations": {"metadata": {"a": "b"}, "items": [{"role": "user", "content": "hello"}]},
}
"""Nothing of them repeats by itself: there is no seed."""


@pytest.fixture(scope="module")
def http(shared_server: ServerProcess) -> Iterator[httpx.Client]:
    with shared_server.client() as client:
        yield client


def keyed(key: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": key or secrets.token_hex(8)}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("path", BODIES)
def test_the_same_request_gets_the_same_answer(http: httpx.Client, path: str, streams: bool) -> None:
    body = BODIES[path] | ({"stream": True} if streams and path != "/v1/conversations" else {})
    headers = keyed()
    first, second = (http.post(path, json=body, headers=headers) for _ in range(2))
    assert (first.status_code, second.content) == (200, first.content)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert http.post(path, json=body, headers=keyed()).content != first.content


def test_a_turn_is_committed_once(http: httpx.Client) -> None:
    talk, headers = Talk.begin(http), keyed()
    replies = [http.post("/v1/responses", json=talk.body("who?", temperature=1), headers=headers) for _ in range(3)]
    assert len({reply.content for reply in replies}) == 1
    assert len(talk.texts()) == 2


@pytest.mark.parametrize("path", BODIES)
def test_another_request_needs_another_key(http: httpx.Client, path: str) -> None:
    headers = keyed()
    checked(http.post(path, json=BODIES[path], headers=headers))
    for other in (path, "/v1/responses/input_tokens"):
        refused = http.post(other, json={**BODIES[path], "metadata": {"b": "c"}}, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "idempotency_key_reused")
        assert refused.headers["x-should-retry"] == "false"


def test_keys_of_other_callers_are_others(http: httpx.Client) -> None:
    headers = keyed()
    said = [
        http.post("/v1/responses", json=BODIES["/v1/responses"], headers={**headers, "Authorization": f"Bearer {who}"})
        for who in ("anna", "ben")
    ]
    assert said[0].json()["id"] != said[1].json()["id"]


@pytest.mark.parametrize("key", ["", "a b", "ä", "k" * 256])
def test_a_key_is_a_word(http: httpx.Client, key: str) -> None:
    refused = http.post("/v1/responses", json=BODIES["/v1/responses"], headers={b"Idempotency-Key": key.encode()})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "Idempotency-Key")


def test_what_was_refused_is_tried_again(http: httpx.Client) -> None:
    headers = keyed()
    for body, status in ({"input": 5}, 400), (BODIES["/v1/responses"], 200), ({"input": 5}, 409):
        assert http.post("/v1/responses", json=body, headers=headers).status_code == status


def test_openais_client_that_lost_the_connection_in_mid_reply_makes_one_turn(shared_server: ServerProcess) -> None:
    port = int(shared_server.base_url.rpartition(":")[2])
    with FaultProxy(port) as proxy, shared_server.client() as http:
        client = OpenAI(base_url=f"http://127.0.0.1:{proxy.port}/v1", api_key="none", max_retries=2)
        for cut_after in (300, 5, 1_500):
            talk = Talk.begin(http)
            proxy.cut_after(cut_after)
            options: dict[str, Any] = {"max_output_tokens": 60, "extra_body": {"ignore_eos": True}}
            said = client.responses.create(
                input="who?", conversation=talk.id, extra_headers=keyed(), timeout=30, **options
            )
            assert talk.texts() == ["who?", said.output_text]
            proxy.heal()
        client.close()


def test_a_stream_that_was_cut_comes_again_from_its_beginning(shared_server: ServerProcess) -> None:
    headers = keyed()
    body = {"input": "who?", "max_output_tokens": 400, "ignore_eos": True, "stream": True}
    with shared_server.client() as http:
        with http.stream("POST", "/v1/responses", json=body, headers=headers) as reply:
            beginning = next(reply.iter_raw())
        again = http.post("/v1/responses", json=body, headers=headers).content
    assert again.startswith(beginning)
    assert b"response.incomplete" in again


def test_what_is_deleted_is_told_to_nobody(http: httpx.Client) -> None:
    for deletes in ("responses", "conversations"):
        talk, headers = Talk.begin(http), keyed()
        body = talk.body("A secret.")
        said = checked(http.post("/v1/responses", json=body, headers=headers))
        checked(http.delete(f"/v1/{deletes}/{said['id'] if deletes == 'responses' else talk.id}"))
        again = http.post("/v1/responses", json=body, headers=headers)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "answer_deleted")


async def test_what_was_brought_to_a_conversation_goes_with_it(chat: Chat) -> None:
    async with client_of(chat) as http:
        place = f"/v1/conversations/{(await chat.new()).id}"
        body = {"items": [{"role": "user", "content": "A secret."}]}
        said = await http.post(f"{place}/items", json=body, headers=keyed("k"))
        assert (await http.delete(f"{place}/pin")).status_code == 200
        again = await http.post(f"{place}/items", json=body, headers=keyed("k"))
        assert (said.status_code, again.content) == (200, said.content), "a pin that goes takes nothing along"
        await http.delete(place)
        again = await http.post(f"{place}/items", json=body, headers=keyed("k"))
        assert (again.status_code, again.json()["error"]["code"]) == (409, "answer_deleted")


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("deletes", ["response", "item"])
async def test_what_was_deleted_is_not_told_by_another_server_either(chat: Chat, deletes: str, streams: bool) -> None:
    """It has the log, and not the first one's answers."""
    place = f"/v1/conversations/{(await chat.new()).id}"
    body = {"input": "who?", "conversation": place.rpartition("/")[2], "stream": streams}
    async with client_of(chat) as first, client_of(chat) as second, client_of(chat) as third:
        for server in (first, second):
            assert (await server.post("/v1/responses", json=body, headers=keyed("k"))).status_code == 200
        (turn,) = (await first.get(f"{place}/turns")).json()["data"]
        await first.delete(
            f"/v1/responses/{turn['id']}" if deletes == "response" else f"{place}/items/{turn['items'][-1]}"
        )
        again = await third.post("/v1/responses", json=body, headers=keyed("k"))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "answer_deleted")
    assert again.headers["x-should-retry"] == "false"


def test_what_is_in_the_log_is_known_after_a_restart(start_server: StartServer) -> None:
    server = start_server()
    headers, made = keyed(), dict[str, Json]()
    paths = ["/v1/conversations", "/v1/responses"]
    with server.client() as http:
        for path in paths:
            made[path] = checked(http.post(path, json=BODIES[path], headers=keyed(headers["Idempotency-Key"] + path)))
        talk = Talk.begin(http)
        unread = talk.body("who?", store=False)
        checked(http.post("/v1/responses", json=unread, headers=headers))
    server.kill()
    server.start()
    with server.client() as http:
        for path in paths:
            again = http.post(path, json=BODIES[path], headers=keyed(headers["Idempotency-Key"] + path))
            assert checked(again)["id"] == made[path]["id"]
        assert again.json()["output"] == made["/v1/responses"]["output"]
        checked(http.post("/v1/responses", json=unread, headers=headers))
        assert len(Talk(http, talk.id).texts()) == 2


async def test_who_is_not_coming_back_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, chat: Chat) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", 0.0)
    chat.engine.pauses_after = 1
    async with client_of(chat) as http:
        body = {"input": "who?", "stream": True}
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(http.post("/v1/responses", json=body, headers=keyed("k")), 0.2)
        while not chat.engine.generations[0].cancelled:
            await asyncio.sleep(0)
        chat.engine.pauses_after = None
        again = await http.post("/v1/responses", json=body, headers=keyed("k"))
        assert "response.completed" in again.text


def test_without_a_key_who_goes_away_ends_the_turn(shared_server: ServerProcess) -> None:
    body = {**BODIES["/v1/responses"], "max_output_tokens": 1_900, "stream": True, "reuse": "nothing"}
    with shared_server.client() as http, http.stream("POST", "/v1/responses", json=body) as reply:
        next(reply.iter_lines())
    wait_until_idle(shared_server)


async def test_answers_are_kept_within_bytes(chat: Chat) -> None:
    async with client_of(chat) as http:
        answers = retries.AnswerOnce(http._transport.app, max_bytes=20_000)  # type: ignore[attr-defined]
        http._transport.app = answers  # type: ignore[attr-defined]
        seen = WeakSet[retries.Answer]()
        for number in range(10):
            body = {"messages": [{"role": "user", "content": "who?"}]}
            await http.post("/v1/chat/completions", json=body, headers=keyed(f"{number}"))
            seen.update(answer for answer, *_ in answers._kept.values())
            assert answers._num_bytes <= 20_000
        gc.collect()
        assert 1 <= len(answers._kept) == len(seen) < 5, "what is dropped is held by nobody"
