"""Connections of clients that send too much, too slowly or nothing, and of those that read nothing."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from tests.support.waiting import wait_until

from warmturn_server.connection import Door, Limits, connection_of

PATIENT = 60.0


class Served:
    """An application behind bounded connections, in a thread: what it was sent it says back."""

    def __init__(self, limits: Limits) -> None:
        routes = [
            Route(path, getattr(self, f"_{path[1:]}"), methods=["POST"]) for path in ("/echo", "/held", "/endless")
        ]
        connection = connection_of(limits, Door(limits.connections))
        config = uvicorn.Config(Starlette(routes=routes), http=connection, ws="none", log_level="critical")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self.num_held = 0
        self.may_answer = threading.Event()
        self.gone = threading.Event()

    async def _echo(self, request: Request) -> Response:
        return Response(await request.body())

    async def _held(self, request: Request) -> Response:
        body = await request.body()
        self.num_held += 1
        while not self.may_answer.is_set():
            await asyncio.sleep(0.02)
        return Response(body)

    async def _endless(self, request: Request) -> Response:
        await request.body()
        return StreamingResponse(self._for_ever())

    async def _for_ever(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"." * 10_000
                await asyncio.sleep(0)
        finally:
            self.gone.set()

    def connect(self) -> socket.socket:
        return socket.create_connection(self._listener.getsockname(), timeout=30)

    def ask(self, body: bytes = b"hello") -> bytes:
        host, port = self._listener.getsockname()
        http = HTTPConnection(host, port, timeout=30)
        http.request("POST", "/echo", body)
        said = http.getresponse().read()
        http.close()
        return said

    def __enter__(self) -> "Served":
        self._thread.start()
        wait_until(lambda: self._server.started, "it did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()


@contextmanager
def silent(served: Served, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as opened:
        yield [opened.enter_context(served.connect()) for _ in range(count)]


def until_closed(connection: socket.socket) -> bytes:
    """What comes until the server closes; a reset is an end too."""
    received = b""
    try:
        while chunk := connection.recv(65_536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def refusal(received: bytes) -> tuple[int, str]:
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def send_until_refused(connection: socket.socket, piece: bytes, most_bytes: int) -> int:
    """How many bytes the server let come."""
    sent = 0
    connection.settimeout(30)
    try:
        while sent < most_bytes:
            sent += connection.send(piece)
    except (ConnectionResetError, BrokenPipeError):
        pass
    return sent


@pytest.mark.parametrize("piece", [b"x" * 50_000, b"X-Header: of many\r\n" * 3_000], ids=["one header", "many"])
def test_headers_without_end_are_refused_early(piece: bytes) -> None:
    with Served(Limits()) as served, served.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nX-Header: ")
        assert send_until_refused(connection, piece, 73 * 2**20) < 10 * 2**20
        assert served.ask() == b"hello"


@pytest.mark.parametrize(("num_bytes", "is_taken"), [(60_000, True), (66_000, False)])
def test_headers_are_bounded_as_a_whole(num_bytes: int, is_taken: bool) -> None:
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 990) for number in range(num_bytes // 1000))
    with Served(Limits()) as served, served.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nConnection: close\r\n" + headers + b"Content-Length: 2\r\n\r\nhi")
        received = until_closed(connection)
    if is_taken:
        assert received.endswith(b"\r\n\r\nhi")
    else:
        assert refusal(received) == (431, "headers_too_large")


@pytest.mark.parametrize("num_bytes", [70_000, 200_000, 3_000_000])
def test_a_body_is_no_header_however_it_comes(num_bytes: int) -> None:
    head = b"POST /echo HTTP/1.1\r\nContent-Length: %d\r\n" % num_bytes
    with Served(Limits()) as served, served.connect() as connection:
        for last in (b"\r\n", b"Connection: close\r\n\r\n"):
            connection.sendall(head + last + b"x" * num_bytes)
            received = b""
            while received.count(b"x") < num_bytes:
                received += (chunk := connection.recv(2**20))
                assert chunk, received[:200]
            assert received.startswith(b"HTTP/1.1 200")


def test_what_is_no_http_is_told_so() -> None:
    with Served(Limits()) as served, served.connect() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert refusal(until_closed(connection)) == (400, "invalid_http")


@pytest.mark.parametrize("begun", [b"X-Header: ", b"Content-Length: 1000\r\n\r\nhel"], ids=["head", "body"])
def test_a_request_that_trickles_is_given_up_however_often_something_comes(begun: bytes) -> None:
    with Served(Limits(head_seconds=0.5, body_seconds=0.5)) as served, served.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\n" + begun)
        connection.settimeout(0.05)
        received = b""
        for _ in range(600):
            try:
                received = until_closed(connection)
                break
            except TimeoutError:
                connection.sendall(b"x")
        assert refusal(received) == (408, "request_timeout")


def test_who_connects_and_says_nothing_is_not_kept() -> None:
    with Served(Limits(head_seconds=0.2)) as served, served.connect() as connection:
        assert until_closed(connection) == b""


def test_a_long_reply_is_not_a_slow_request() -> None:
    with Served(Limits(head_seconds=1.0, body_seconds=1.0)) as served, served.connect() as connection:
        connection.sendall(b"POST /held HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        connection.settimeout(1.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        served.may_answer.set()
        assert until_closed(connection).endswith(b"hi")


def test_connections_that_ask_nothing_shut_nobody_out() -> None:
    with Served(Limits(connections=4, head_seconds=PATIENT)) as served, silent(served, 50) as opened:
        assert served.ask() == b"hello"
        assert until_closed(opened[0]) == b""
        with served.connect() as slow:
            slow.sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 1000\r\n\r\n")
            with silent(served, 4):
                assert served.ask() == b"hello"
                assert until_closed(slow) == b""


def test_connections_that_wait_for_their_reply_are_not_given_up_for_others() -> None:
    asked = b"POST /held HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    with Served(Limits(connections=2)) as served, silent(served, 2) as busy:
        for connection in busy:
            connection.sendall(asked)
        wait_until(lambda: served.num_held == 2, "they did not come in")
        with served.connect() as one_too_many:
            received = until_closed(one_too_many)
        assert refusal(received) == (503, "overloaded")
        assert b"Retry-After: 1" in received
        served.may_answer.set()
        assert [until_closed(connection)[-2:] for connection in busy] == [b"hi", b"hi"]


def test_who_reads_nothing_holds_nothing() -> None:
    with Served(Limits(reader_seconds=0.3)) as served, served.connect() as connection:
        connection.sendall(b"POST /endless HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi")
        assert served.gone.wait(30)


@pytest.mark.slow
def test_who_reads_slowly_is_served() -> None:
    with Served(Limits(reader_seconds=1.0)) as served, served.connect() as connection:
        connection.sendall(b"POST /endless HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi")
        read = sum(len(connection.recv(500_000)) for _ in range(70) if not threading.Event().wait(0.02))
        assert read > 0
        assert not served.gone.is_set()


def test_one_connection_serves_many_requests_and_those_sent_ahead() -> None:
    request = b"POST /echo HTTP/1.1\r\nContent-Length: 2\r\n%s\r\nh%d"
    with Served(Limits()) as served, served.connect() as connection:
        for number in range(3):
            connection.sendall(request % (b"", number))
            assert connection.recv(65_536).endswith(b"h%d" % number)
        connection.sendall(request % (b"", 4) + request % (b"Connection: close\r\n", 5))
        received = until_closed(connection)
        assert b"\r\n\r\nh4" in received
        assert received.endswith(b"h5")


ROOM = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from warmturn_server.descriptors import room_for_connections
print(room_for_connections(1000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(("soft", "hard"), [(256, 256), (256, 4096), (1024, 1024)])
def test_files_of_its_own_have_room(soft: int, hard: int) -> None:
    """Under the limit of 256 with which everybody was once shut out; a limit that may be raised is."""
    script = ROOM.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    room, limit = map(int, done.stdout.split())
    assert limit // 4 <= room <= limit - 96
    assert (room == 1000) == (hard == 4096)
