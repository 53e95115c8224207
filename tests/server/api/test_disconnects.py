"""Clients that go away, and servers that are told to."""

import time
from threading import Thread

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.server import ServerProcess

LONG = {"input": "who?", "max_output_tokens": 1_900, "ignore_eos": True, "temperature": 0}
"""Seconds of work, if nobody stops it."""


def running(server: ServerProcess) -> int:
    with server.client() as http:
        return int(http.get("/v1/stats").json()["running"])


def wait_until_running(server: ServerProcess) -> None:
    began = time.monotonic()
    while not running(server):
        assert time.monotonic() - began < 30
        time.sleep(0.02)


def wait_until_idle(server: ServerProcess) -> float:
    began = time.monotonic()
    while running(server):
        assert time.monotonic() - began < 30
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_stream_that_nobody_reads_stops(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        with http.stream("POST", "/v1/responses", json={**LONG, "stream": True}) as reply:
            lines = reply.iter_lines()
            next(lines)
            wait_until_running(shared_server)
        assert wait_until_idle(shared_server) < 1.0


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_a_reply_that_nobody_waits_for_stops(shared_server: ServerProcess, path: str) -> None:
    body = {**LONG, "max_tokens": 1_900, "messages": [{"role": "user", "content": "who?"}]}
    with shared_server.client(timeout_seconds=0.5) as http, pytest.raises(httpx.ReadTimeout):
        http.post(path, json=body)
    assert wait_until_idle(shared_server) < 1.0


def test_nothing_of_it_is_kept(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        made = http.post("/v1/conversations").json()["id"]
        with http.stream("POST", "/v1/responses", json={**LONG, "stream": True, "conversation": made}) as reply:
            lines = reply.iter_lines()
            next(lines)
        wait_until_idle(shared_server)
        assert http.get(f"/v1/conversations/{made}/items").json()["data"] == []
        again = {"input": "who?", "conversation": made, "max_output_tokens": 2}
        assert http.post("/v1/responses", json=again).status_code == 200


def test_a_server_that_ends_during_a_stream_ends_cleanly(start_server: StartServer) -> None:
    server = start_server()
    body = {
        **LONG,
        "stream": True,
        "max_output_tokens": 500,
    }  # done within the server's grace, however busy the machine
    ends: list[str] = []

    def read() -> None:
        try:
            with server.client() as http, http.stream("POST", "/v1/responses", json=body) as reply:
                ends.extend(reply.iter_lines())
        except httpx.HTTPError as error:
            ends.append(str(error))

    reader = Thread(target=read)
    reader.start()
    wait_until_running(server)
    server.terminate()
    reader.join(10)
    assert ends
    assert "Traceback" not in server.stderr()
