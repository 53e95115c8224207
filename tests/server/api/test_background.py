"""Responses in the background: asked for later, listened to again, ended, lost with their server."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from openai import OpenAI
from tests.conftest import StartServer
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk, checked
from tests.support.waiting import wait_until

from warmturn_server.api.responses.background import Background, EventLog

PATH: Final = "/v1/responses"
ASKED: Final[Json] = {"input": "who?", "temperature": 0, "background": True, "ignore_eos": True}
SHORT: Final[Json] = {**ASKED, "max_output_tokens": 40}
LONG: Final[Json] = {**ASKED, "max_output_tokens": 1_900, "reuse": "nothing"}
"""Minutes of work, if nobody stops it."""


@pytest.fixture(scope="module")
def http(shared_server: ServerProcess) -> Iterator[httpx.Client]:
    with shared_server.client() as client:
        yield client


def begin(http: httpx.Client, **body: object) -> str:
    begun = checked(http.post(PATH, json={**SHORT, **body}))
    assert (begun["status"], begun["background"], begun["output"]) == ("queued", True, [])
    return str(begun["id"])


def ended(http: httpx.Client, response_id: str) -> Json:
    def found() -> Json | None:
        response = checked(http.get(f"{PATH}/{response_id}"))
        return None if response["status"] in ("queued", "in_progress") else response

    return wait_until(found, "it never ended")


def listen(http: httpx.Client, response_id: str, after: int | None = None, count: int | None = None) -> list[Json]:
    """Its events behind that one, `count` of them at most."""
    query: dict[str, Any] = {"stream": "true"} | ({} if after is None else {"starting_after": after})
    with http.stream("GET", f"{PATH}/{response_id}", params=query) as reply:
        assert reply.status_code == 200, reply.read()
        return events_of(reply, count)


def events_of(reply: httpx.Response, count: int | None = None) -> list[Json]:
    events = list[Json]()
    for line in reply.iter_lines():
        if line.startswith("data: {"):
            events.append(json.loads(line[6:]))
        if len(events) == count:
            break
    return events


def text_of(response: Json) -> str:
    return str(response["output"][0]["content"][0]["text"])


def test_it_is_begun_at_once_and_asked_for_until_it_is_there(http: httpx.Client) -> None:
    foreground = checked(http.post(PATH, json={**SHORT, "background": False}))
    response = ended(http, begin(http, metadata={"a": "b"}))
    assert (response["status"], response["metadata"]) == ("incomplete", {"a": "b"})
    assert text_of(response) == text_of(foreground)
    assert response["usage"]["output_tokens"] == 40
    assert foreground["background"] is False


def test_who_listens_again_misses_nothing_and_hears_nothing_twice(http: httpx.Client) -> None:
    with http.stream("POST", PATH, json={**SHORT, "max_output_tokens": 300, "stream": True}) as reply:
        name = reply.headers["X-Warmturn-Response"]
        heard = events_of(reply, 5)
    while heard[-1]["type"] != "response.incomplete":
        heard += listen(http, name, heard[-1]["sequence_number"], 60)
    assert [event["sequence_number"] for event in heard] == [*range(len(heard))]
    assert "".join(event["delta"] for event in heard if "delta" in event) == text_of(ended(http, name))
    assert listen(http, name) == heard, "and as it came when it is over"
    assert listen(http, name, 7) == heard[8:]


def test_several_listen_at_once(http: httpx.Client, shared_server: ServerProcess) -> None:
    name = begin(http, max_output_tokens=200)

    def hear(after: int | None) -> list[Json]:
        with shared_server.client() as own:
            return listen(own, name, after)

    with ThreadPoolExecutor() as threads:
        first, second, third = threads.map(hear, [None, 0, 1])
    assert first[-1]["type"] == "response.incomplete"
    assert (second, third) == (first[1:], first[2:])


def test_it_ends_with_a_cancel_and_says_so_as_often_as_it_is_asked(http: httpx.Client) -> None:
    talk = Talk.begin(http)
    name = begin(http, **LONG, conversation=talk.id)
    for _ in range(2):
        assert checked(http.post(f"{PATH}/{name}/cancel"))["status"] == "cancelled"
    assert ended(http, name)["status"] == "cancelled"
    assert listen(http, name)[-1]["response"]["status"] == "cancelled"
    talk.say("And now?", max_output_tokens=1)
    assert len(talk.texts()) == 2, "nothing of it is kept"
    for status in (200, 404):
        assert http.delete(f"{PATH}/{name}").status_code == status
    assert http.get(f"{PATH}/{name}").status_code == 404


@pytest.mark.parametrize("runs", [True, False])
def test_deleted_it_is_gone_with_its_events(http: httpx.Client, runs: bool) -> None:
    name = begin(http, **(LONG if runs else {}))
    if not runs:
        ended(http, name)
    assert checked(http.delete(f"{PATH}/{name}"))["deleted"]
    for path in (f"{PATH}/{name}", f"{PATH}/{name}?stream=true"):
        assert http.get(path).status_code == 404
    assert http.delete(f"{PATH}/{name}").status_code == 404


@pytest.mark.parametrize("deletes", ["conversation", "item"])
def test_what_a_conversation_lost_its_events_do_not_tell(http: httpx.Client, deletes: str) -> None:
    talk = Talk.begin(http)
    name = begin(http, conversation=talk.id)
    response = ended(http, name)
    place = f"/v1/conversations/{talk.id}" + (f"/items/{response['output'][0]['id']}" if deletes == "item" else "")
    checked(http.delete(place))
    reply = http.get(f"{PATH}/{name}", params={"stream": "true"})
    assert (reply.status_code, text_of(response)[:20] in reply.text) == (404, False)


def test_openais_client_takes_it(openai_client: OpenAI, model: str) -> None:
    body: dict[str, Any] = {
        "model": model,
        "input": "who?",
        "max_output_tokens": 20,
        "extra_body": {"ignore_eos": True},
    }
    begun = openai_client.responses.create(**body, background=True)
    assert begun.status == "queued"
    heard = list(openai_client.responses.retrieve(begun.id, stream=True))
    again = list(openai_client.responses.retrieve(begun.id, stream=True, starting_after=3))
    assert [event.sequence_number for event in again] == [event.sequence_number for event in heard[4:]]
    assert openai_client.responses.retrieve(begun.id).status == "incomplete"
    streamed = list(openai_client.responses.create(**body, background=True, stream=True))
    assert [event.type for event in streamed] == [event.type for event in heard]
    longer = {"max_output_tokens": 1_900, "extra_body": {"reuse": "nothing", "ignore_eos": True}}
    long = openai_client.responses.create(**{**body, **longer}, background=True)
    assert openai_client.responses.cancel(long.id).status == "cancelled"


def test_what_is_not_stored_cannot_be_asked_for(http: httpx.Client) -> None:
    error = http.post(PATH, json={**SHORT, "store": False}).json()["error"]
    assert (error["param"], error["code"]) == ("background", "invalid_value")


def test_there_is_nothing_behind_what_has_not_come(http: httpx.Client) -> None:
    name = begin(http, **LONG)
    for after in (100_000, -2):
        error = http.get(f"{PATH}/{name}", params={"stream": "true", "starting_after": after}).json()["error"]
        assert (error["param"], error["code"]) == ("starting_after", "invalid_value")
    http.delete(f"{PATH}/{name}")


def test_one_that_was_lost_with_its_server_has_failed(start_server: StartServer) -> None:
    server = start_server()
    with server.client() as http:
        done = ended(http, begin(http))["id"]
        with http.stream("POST", PATH, json={**LONG, "stream": True}) as reply:
            lost = reply.headers["X-Warmturn-Response"]
            events_of(reply, 6)
    server.kill()
    server.start()
    with server.client() as http:
        response = ended(http, lost)
        assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
        for request in (http.get(f"{PATH}/{lost}?stream=true"), http.post(f"{PATH}/{lost}/cancel")):
            assert request.status_code in (400, 404)
        assert checked(http.delete(f"{PATH}/{lost}"))["deleted"]
        assert http.get(f"{PATH}/{lost}").status_code == 404
        assert ended(http, done)["status"] == "incomplete"
        assert listen(http, done)[-1]["type"] == "response.incomplete"
        gone = http.get(f"{PATH}/{done}", params={"stream": "true", "starting_after": 4}).json()["error"]
        assert "no longer kept" in gone["message"]
        assert checked(http.get("/v1/conversations"))["data"] == [], "marks are in no list"


def test_one_that_a_server_ends_is_kept_as_far_as_it_came(start_server: StartServer) -> None:
    server = start_server("--drain-seconds", "0")
    with server.client() as http:
        name = begin(http, **LONG)
        assert listen(http, name, count=6)[-1]["type"] == "response.output_text.delta"
        assert checked(http.get(f"{PATH}/{name}"))["status"] == "in_progress"
    server.restart()
    with server.client() as http:
        response = ended(http, name)
        assert (response["status"], response["error"]) == ("incomplete", None)
        assert text_of(response)


async def test_a_failure_is_told_later(chat: Chat) -> None:
    chat.engine.failure = RuntimeError("the test's own")
    async with client_of(chat) as http:
        name = (await http.post(PATH, json={"input": "who?", "background": True})).json()["id"]
        events = [json.loads(line[6:]) for line in (await heard(http, name)).splitlines() if line.startswith("data: {")]
        assert events[-2]["type"] == "response.failed"
        assert (await http.get(f"{PATH}/{name}")).json()["error"] == events[-2]["response"]["error"]
        assert (await http.get(f"{PATH}/{name}")).json()["status"] == "failed"


async def test_one_that_ends_between_two_looks_is_told(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    made, look, looks = await chat.say("who?"), chat.store.turn, list[None]()
    monkeypatch.setattr(chat.store, "turn", lambda *where: looks.pop() if looks else look(*where))
    async with client_of(chat) as http:
        for query in ("", "?stream=true"):
            looks.append(None)
            assert (await http.get(f"{PATH}/{made.id}{query}")).status_code == 200
            assert not looks


async def heard(http: httpx.AsyncClient, name: str) -> str:
    return (await http.get(f"{PATH}/{name}?stream=true")).text


async def test_events_are_kept_within_bytes_and_for_a_time(tmp_path: Path) -> None:
    chat = Chat(tmp_path)
    background = Background(kept_seconds=3600, max_bytes=1_000)
    async with client_of(chat) as http:
        transport: Any = http._transport
        transport.app.state.background = background
        for _ in range(3):
            name = (await http.post(PATH, json={"input": "who?", "background": True})).json()["id"]
            log = background.get("", name)
            assert isinstance(log, EventLog)
            await log.task
        kept = await http.get(f"{PATH}/{name}?stream=true&starting_after=1")
        assert (background.get("", name), kept.status_code) == (None, 400), "each was more than that"
        assert "no longer kept" in kept.json()["error"]["message"]
        assert (await http.get(f"{PATH}/{name}")).json()["status"] == "completed"
        brief = transport.app.state.background = Background(kept_seconds=0)
        name = (await http.post(PATH, json={"input": "who?", "background": True})).json()["id"]
        while brief.get("", name):
            await asyncio.sleep(0)
    chat.service.close()
