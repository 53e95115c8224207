"""A server that is told to end: it says so, finishes what runs or keeps what was said of it, and ends well."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

LONG: Json = {"max_output_tokens": 1_500, "ignore_eos": True}
"""Seconds of work, if nobody stops it."""
PATIENT = ("--drain-seconds", "600")


class Listener:
    """Reads a turn's events beside the test."""

    def __init__(self, talk: Talk, **options: object) -> None:
        self.events: list[Json] = []
        self._stream = talk.stream("Remember this.", **{**LONG, **options})
        self._thread = Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for event in self._stream:
            self.events.append(event)

    @property
    def text(self) -> str:
        return "".join(event["delta"] for event in self.events if event["type"] == "response.output_text.delta")

    def await_text(self) -> None:
        wait_until(lambda: self.text, "nothing was said")

    def last(self) -> Json:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.events[-1]


@contextmanager
def listening(server: ServerProcess, **options: object) -> Iterator[tuple[Talk, Listener]]:
    with server.client() as client:
        talk = Talk.begin(client)
        listener = Listener(talk, **options)
        listener.await_text()
        yield talk, listener
        listener.last()


def ask_to_end(server: ServerProcess) -> None:
    os.kill(server.pid, signal.SIGTERM)


def await_end(server: ServerProcess) -> None:
    wait_until(lambda: not server.running, "it did not end", seconds=60)
    assert server.terminate() == 0
    assert "Traceback" not in server.stderr()


def test_while_turns_go_on_it_says_that_it_is_going_and_takes_no_more(start_server: StartServer) -> None:
    server = start_server(*PATIENT)
    with listening(server) as (talk, listener), server.client() as client:
        ask_to_end(server)
        wait_until(lambda: client.get("/ready").status_code == 503, "it still says that it is ready")
        assert client.get("/ready").json()["status"] == "shutting_down"
        assert client.get("/health").status_code == 200
        with server.client() as another:
            refused = another.post("/v1/responses", json={"input": "who?", "max_output_tokens": 1})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
        assert int(refused.headers["retry-after"]) >= 1
        assert len(talk.texts()) == 0
        last = listener.last()
    assert (last["type"], last["response"]["incomplete_details"]) == (
        "response.incomplete",
        {"reason": "max_output_tokens"},
    )
    assert last["response"]["usage"]["output_tokens"] == LONG["max_output_tokens"]
    await_end(server)


@pytest.mark.parametrize("streams", [True, False])
def test_what_is_not_over_in_time_is_kept_as_far_as_it_came(start_server: StartServer, streams: bool) -> None:
    server = start_server("--drain-seconds", "0")
    with server.client() as client:
        talk = Talk.begin(client)
        if streams:
            listener = Listener(talk)
            listener.await_text()
            ask_to_end(server)
            last = listener.last()
            assert last["type"] == "response.incomplete"
            response = last["response"]
            assert response["output"][0]["content"][0]["text"] == listener.text
        else:
            response = ask_and_end(server, talk)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", None)
    assert 0 < response["usage"]["output_tokens"] < LONG["max_output_tokens"]
    await_end(server)
    server.start()
    with server.client() as client:
        talk = Talk(client, talk.id)
        assert talk.texts() == ["Remember this.", response["output"][0]["content"][0]["text"]]
        stored = client.get(f"/v1/responses/{response['id']}").json()
        assert (stored["status"], stored["output"]) == ("incomplete", response["output"])
        assert stored["output"][0]["status"] == "incomplete"
        talk.say("And now?")


def ask_and_end(server: ServerProcess, talk: Talk) -> Json:
    """The reply in one piece of a turn that was running when the server was told to end."""
    replies: list[httpx.Response] = []

    def ask() -> None:
        replies.append(talk.client.post("/v1/responses", json=talk.body("Remember this.", **LONG)))

    asking = Thread(target=ask)
    asking.start()
    with server.client() as client:
        wait_until(lambda: client.get("/v1/stats").json()["running"], "it does not run")
    ask_to_end(server)
    asking.join(60)
    (reply,) = replies
    assert reply.status_code == 200
    response: Json = reply.json()
    return response


def test_told_twice_it_waits_for_nobody(start_server: StartServer) -> None:
    server = start_server(*PATIENT)
    with listening(server, max_output_tokens=1_900) as (_, listener), server.client() as client:
        ask_to_end(server)
        wait_until(lambda: client.get("/ready").status_code == 503, "it still says that it is ready")
        ask_to_end(server)
        assert listener.last()["response"]["usage"]["output_tokens"] < 1_900
    await_end(server)


def test_connections_that_only_lie_there_hold_nobody_up(start_server: StartServer) -> None:
    server = start_server(*PATIENT)
    with server.client() as client:
        client.get("/health")
        with listening(server, max_output_tokens=100):
            ask_to_end(server)
        await_end(server)
