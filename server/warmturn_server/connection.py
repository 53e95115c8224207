"""One HTTP connection as uvicorn speaks it, with the bounds that uvicorn does not have.

`h11_max_incomplete_event_size` is of its slower parser alone, `limit_concurrency` counts idle connections like busy
ones, and there is a deadline between requests only. So the parser's callbacks are watched here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_SEND_BUFFER_BYTES: Final = 2**17
"""In the kernel, for each connection: what lies there counts as read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`head_bytes`: of the request line and all headers. `reader_seconds`: so long may what was sent lie unread."""

    connections: int = 1000
    head_bytes: int = 2**16
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    reader_seconds: float = 30.0


class Door:
    """The open connections. Where there are as many as may be, the one that has waited longest for a request goes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Connection] = set()
        self._quiet: dict[Connection, None] = {}

    def enter(self, connection: Connection) -> bool:
        """Whether there is room for one more."""
        if len(self._open) >= self._most:
            if not self._quiet:
                return False
            next(iter(self._quiet)).give_up()
        self._open.add(connection)
        self._quiet[connection] = None
        return True

    def works(self, connection: Connection) -> None:
        """It has sent all of a request."""
        self._quiet.pop(connection, None)

    def rests(self, connection: Connection) -> None:
        """It has got its reply."""
        if connection in self._open:
            self._quiet[connection] = None

    def leave(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._quiet.pop(connection, None)

    def give_up_the_quiet(self) -> None:
        """Nothing that comes from them will be answered any more."""
        for connection in list(self._quiet):
            connection.give_up()

    def give_up_all(self) -> None:
        for connection in list(self._open):
            connection.give_up()


class Connection(HttpToolsProtocol):
    """`connection_of` makes the class that uvicorn takes."""

    limits: Limits
    door: Door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._complaint: tuple[HTTPStatus, str, str] | None = None
        self._in_head, self._head_bytes, self._num_heads = True, 0, 0
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if self.door.enter(self):
            self._expect_within(self.limits.head_seconds)
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", "Every connection is busy; try again.")

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.leave(self)
        self._expect_nothing()
        self._stop_watching_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        in_head, num_heads = self._in_head, self._num_heads
        if in_head and self._deadline is None:
            self._expect_within(self.limits.head_seconds)
        super().data_received(data)
        if in_head and self._num_heads == num_heads:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes and not self.transport.is_closing():
                self._refuse(*self._too_large)

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.limits.head_bytes:
            self._complaint = self._too_large
            raise ValueError  # ends the parser; uvicorn then sends what is called its 400
        self._in_head, self._num_heads = False, self._num_heads + 1
        self._expect_within(self.limits.body_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._expect_nothing()
        self._in_head, self._head_bytes = True, 0
        self.door.works(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:
            self.door.rests(self)
        if self.transport.get_write_buffer_size():
            self._watch_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching_reader()

    def send_400_response(self, msg: str) -> None:
        self._refuse(*(self._complaint or (HTTPStatus.BAD_REQUEST, "invalid_http", msg)))

    def give_up(self) -> None:
        """Close it now, whatever was still to be sent; a turn on it sees its client go away."""
        self.door.leave(self)
        self.transport.abort()

    @property
    def _too_large(self) -> tuple[HTTPStatus, str, str]:
        message = f"The request's headers are larger than the {self.limits.head_bytes:,} bytes that this server takes."
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", message

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        """OpenAI's shape, for what never became a request; the connection is of no more use."""
        kind = "server_error" if status >= 500 else "invalid_request_error"
        body = json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(["Retry-After: 1"] if status >= 500 else []),
            "Connection: close",
        ]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.close()

    def _expect_within(self, seconds: float) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.pipeline:  # what was sent ahead is not read before the reply to what came before it is over
            self._expect_within(self.limits.body_seconds)
        elif self._in_head and not self._head_bytes:
            self.transport.close()
        elif not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The request did not arrive in time.")

    def _watch_reader(self) -> None:
        self._stop_watching_reader()
        self._unread = self.loop.call_later(self.limits.reader_seconds, self._not_read)

    def _stop_watching_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
        self._unread = None

    def _not_read(self) -> None:
        self._unread = None
        if self.transport.get_write_buffer_size():
            seconds = self.limits.reader_seconds
            self.logger.warning("a client left its reply unread for %.0f s; its connection is closed", seconds)
            self.give_up()


def connection_of(limits: Limits, door: Door) -> type[Connection]:
    return type("BoundedConnection", (Connection,), {"limits": limits, "door": door})
