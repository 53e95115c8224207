"""HAProxy as it is shipped: what belongs together goes to one server, and to the other one when that is gone."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
from tests.support.balancer import Balancer


class Echo:
    """A server that answers with its name; `down` makes its port refuse connections."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[str] = []
        self.sessions: list[str | None] = []
        """What the balancer told of each request."""
        self.ready = True
        self.cut = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def down(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        echo = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(200 if self.path != "/ready" or echo.ready else 503)

            do_DELETE = do_GET  # noqa: N815 - http.server's name

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self._reply(200)

            def _reply(self, status: int) -> None:
                if self.path != "/ready":
                    echo.seen.append(f"{self.command} {self.path}")
                    echo.sessions.append(self.headers["x-session-id"])
                    if echo.cut.is_set():
                        self.connection.close()
                        return
                self.send_response(status)
                self.send_header("x-warmturn-response", f"resp_{echo.name}_{len(echo.seen)}")
                self.send_header("content-length", str(len(echo.name)))
                self.end_headers()
                self.wfile.write(echo.name.encode())

            def log_message(self, *_: Any) -> None: ...

        return Handler

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.down()


class Behind:
    """Two servers behind a balancer, and who answered."""

    def __init__(self, servers: list[Echo], client: httpx.Client) -> None:
        self.servers, self.client = servers, client

    def post(self, path: str, body: object) -> str:
        return self.client.post(path, json=body).text

    def other(self, name: str) -> Echo:
        return next(server for server in self.servers if server.name != name)

    def named(self, name: str) -> Echo:
        return next(server for server in self.servers if server.name == name)


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    with ExitStack() as running:
        servers = [running.enter_context(Echo(name)) for name in ("one", "two")]
        balancer = running.enter_context(Balancer([server.url for server in servers], tmp_path))
        yield Behind(servers, running.enter_context(balancer.client()))


IDS = [f"conv_{number:048x}" for number in range(40)]


def test_everything_about_a_conversation_goes_to_one_server(behind: Behind) -> None:
    went = {
        conversation: {
            behind.post("/v1/responses", {"input": "x" * 20_000, "conversation": conversation}),
            behind.post("/v1/responses", {"conversation": {"id": conversation}, "input": "y", "stream": True}),
            behind.post(f"/v1/conversations/{conversation}/warm", {}),
            behind.post(f"/v1/conversations/{conversation}", {"metadata": {"conversation": "conv_other"}}),
            behind.client.get(f"/v1/conversations/{conversation}/items").text,
            behind.client.delete(f"/v1/conversations/{conversation}").text,
        }
        for conversation in IDS
    }
    assert all(len(servers) == 1 for servers in went.values())
    assert {next(iter(servers)) for servers in went.values()} == {"one", "two"}


def test_a_response_is_continued_and_stopped_where_it_was_made(behind: Behind) -> None:
    for _ in range(6):
        first = behind.client.post("/v1/responses", json={"input": "x"})
        made = first.headers["x-warmturn-response"]
        assert behind.post(f"/v1/responses/{made}/cancel", {}) == first.text
        following = behind.client.post("/v1/responses", json={"input": "y", "previous_response_id": made})
        assert following.text == first.text
        assert behind.post("/v1/responses", {"previous_response_id": following.headers["x-warmturn-response"]}) == (
            first.text
        )


def test_clients_that_send_everything_again_stay_where_they_began(behind: Behind) -> None:
    went = set()
    for number in range(20):
        messages = [{"role": "user", "content": f"question {number}"}]
        if number % 2:
            messages.insert(0, {"role": "system", "content": "You are good."})
        first = behind.post("/v1/chat/completions", {"messages": messages})
        longer = [*messages, {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
        assert behind.post("/v1/chat/completions", {"messages": longer}) == first
        went.add((number % 2, first))
    assert went == {(0, "one"), (0, "two"), (1, "one"), (1, "two")}


def test_what_begins_is_dealt_out_and_who_looks_sees_one_server(behind: Behind) -> None:
    assert {behind.post("/v1/conversations", {}) for _ in range(20)} == {"one", "two"}
    assert {behind.post("/v1/responses", {"input": "x"}) for _ in range(20)} == {"one", "two"}
    assert len({behind.client.get("/v1/stats").text for _ in range(20)}) == 1


@pytest.mark.parametrize("body", [b"not json", b"", json.dumps({"input": "x" * 200_000, "conversation": "c"}).encode()])
def test_what_cannot_be_read_is_served_all_the_same(behind: Behind, body: bytes) -> None:
    assert behind.client.post("/v1/responses", content=body).status_code == 200


def test_a_server_that_is_gone_costs_no_request_and_moves_only_its_own(behind: Behind) -> None:
    before = {conversation: behind.post("/v1/responses", {"conversation": conversation}) for conversation in IDS}
    behind.servers[0].down()
    after = {
        conversation: behind.client.post("/v1/responses", json={"conversation": conversation}) for conversation in IDS
    }
    assert {reply.status_code for reply in after.values()} == {200}
    assert {reply.text for reply in after.values()} == {"two"}
    assert "one" in before.values()


def test_a_server_that_is_not_ready_is_left_alone(behind: Behind) -> None:
    behind.servers[0].ready = False
    for _ in range(200):
        if {behind.post("/v1/conversations", {}) for _ in range(10)} == {"two"}:
            break
        threading.Event().wait(0.05)
    assert {behind.post("/v1/responses", {"conversation": conversation}) for conversation in IDS} == {"two"}


def test_a_turn_that_may_have_reached_a_server_is_not_said_twice(behind: Behind) -> None:
    name = behind.post("/v1/responses", {"conversation": IDS[0]})
    behind.named(name).cut.set()
    asked = behind.client.post("/v1/responses", json={"conversation": IDS[0]})
    assert asked.status_code == 502
    assert asked.json()["error"]["code"] == "server_gone"
    assert asked.headers["x-should-retry"] == "false", "OpenAI's clients repeat a 502 by themselves"
    assert behind.named(name).seen == ["POST /v1/responses"] * 2
    assert behind.other(name).seen == []


def test_what_changes_nothing_is_asked_again(behind: Behind) -> None:
    path = f"/v1/conversations/{IDS[0]}"
    name = behind.client.get(path).text
    behind.named(name).cut.set()
    assert behind.client.get(path).text == behind.other(name).name


def test_figures_are_for_those_who_ask_each_server(behind: Behind) -> None:
    assert behind.client.get("/metrics").status_code == 404


def test_with_no_server_left_the_error_is_one_that_clients_understand(behind: Behind) -> None:
    for server in behind.servers:
        server.down()
    asked = behind.client.post("/v1/responses", json={"conversation": IDS[0]})
    assert asked.status_code == 503
    assert asked.json()["error"]["type"] == "server_error"
