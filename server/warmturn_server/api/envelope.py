"""What surrounds a request: its id, and the packing of its body."""

from __future__ import annotations

import re
import secrets
import zlib
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import error_object, reply

_GIVEN_ID: Final = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class NameRequests:
    """`x-request-id` of every reply: the one that the request brought, or one of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _GIVEN_ID.fullmatch(given) else f"req_{secrets.token_hex(16)}"

        async def naming(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        await self._app(scope, receive, naming)


class UnpackBody:
    """Takes bodies in gzip or deflate, no larger than others once they are unpacked: a few bytes can hold gigabytes."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        coding = Headers(scope=scope).get("content-encoding", "").strip().lower() if scope["type"] == "http" else ""
        if coding in ("", "identity"):
            await self._app(scope, receive, send)
        elif coding in ("gzip", "x-gzip", "deflate"):
            await self._app(_as_unpacked(scope), _Unpacking(receive, self._max_bytes).receive, send)
        else:
            message = f"This server takes bodies in gzip or as they are, not in {coding[:64]!r}."
            await reply(415, error_object(message, code="unsupported_encoding"))(scope, receive, send)


class _Unpacking:
    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._left = max_bytes
        self._unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._is_empty = True

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        packed, is_last = message.get("body", b""), not message.get("more_body", False)
        self._is_empty &= not packed
        return {**message, "body": b"" if self._is_empty else self._unpacked(packed, is_last)}

    def _unpacked(self, packed: bytes, is_last: bool) -> bytes:
        try:
            body = self._unpacker.decompress(packed, self._left + 1)
        except zlib.error:
            raise _no_gzip() from None
        if self._unpacker.unused_data or (is_last and self._left >= len(body) and not self._unpacker.eof):
            raise _no_gzip()
        self._left -= len(body)
        if self._left < 0:
            raise HTTPException(413, "The request body is larger than this server takes, once it is unpacked.")
        return body


def _no_gzip() -> HTTPException:
    return HTTPException(400, "The request body is not the gzip that its Content-Encoding says, or not all of it.")


def _as_unpacked(scope: Scope) -> Scope:
    """Without the headers that are true of the packed body only."""
    of_packed = (b"content-encoding", b"content-length")
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in of_packed]}
