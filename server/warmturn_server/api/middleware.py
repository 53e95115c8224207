"""What holds for every request, as pure ASGI: nothing here may hide a client's going away."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..names import is_of, is_own_name
from . import page
from .errors import error_object, reply

OPEN_PATHS: Final = frozenset({"/health", "/ready"})
"""Asked by who has no key."""


class RequestCounter(Protocol):
    def http_request(self, route: str, status: int) -> None: ...


class CountRequests:
    """Counts by route template, not by path: ids are not labels."""

    def __init__(self, app: ASGIApp, counter: RequestCounter) -> None:
        self._app = app
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unknown")
                self._counter.http_request(route, message["status"])
            await send(message)

        await self._app(scope, receive, counting)


class AnswerHead:
    """HEAD is answered as GET is: wherever one can be asked, so can the other. The server below leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks_head = scope["type"] == "http" and scope["method"] == "HEAD"
        await self._app({**scope, "method": "GET"} if asks_head else scope, receive, send)


class LimitBody:
    """Refuses bodies beyond a size, whether or not their length is said beforehand.

    `larger`: by what a path begins with, what is taken there.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        max_bytes = self._limit(scope["path"])
        if length.isdecimal() and int(length) > max_bytes:
            await reply(413, error_object(_too_large(max_bytes), code="body_too_large"))(scope, receive, send)
            return
        received = 0

        async def counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise HTTPException(413, _too_large(max_bytes))
            return message

        await self._app(scope, counting, send)

    def _limit(self, path: str) -> int:
        return next((limit for place, limit in self._larger.items() if path.startswith(place)), self._max_bytes)


def _too_large(max_bytes: int) -> str:
    return f"The request body is larger than the {max_bytes:,} bytes that this server takes."


class RequireKey:
    """One key for all, as a bearer token; health checks and the page's own files need none."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app = app
        self._expected = api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_open(scope["path"]) or self._holds_key(scope):
            await self._app(scope, receive, send)
            return
        error = error_object(
            "A valid API key is needed, as header 'Authorization: Bearer KEY'.",
            kind="authentication_error",
            code="invalid_api_key",
        )
        await reply(401, error, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _holds_key(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        is_same = secrets.compare_digest(given.lstrip(" ").encode("latin-1"), self._expected)
        return is_same and scheme.lower() == "bearer"


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or page.is_open(path)


class CheckHost:
    """Refuses names that are not this server's. Who names none at all is no browser."""

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self._app = app
        self._allowed = tuple(name.lower() for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = [host for host in _hosts(scope) if not self._is_ours(host)]
        if not refused:
            await self._app(scope, receive, send)
            return
        message = (
            f"This server does not go by the name {refused[0][:253]!r}. If it should, name it in --allowed-hosts "
            "(WARMTURN_ALLOWED_HOSTS)."
        )
        await reply(403, error_object(message, code="host_not_allowed"))(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        return not host or is_own_name(host, self._allowed)


class CheckOrigin:
    """Refuses what scripts of other servers' pages ask, unless they are named. Callers that are no browser pass."""

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self._app = app
        self._allowed = frozenset(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None or self._is_named(origin) or any(is_of(origin, host) for host in _hosts(scope)):
            await self._app(scope, receive, send)
            return
        message = (
            f"Pages of {origin[:253]!r} may not use this server. If they should, name it in --allowed-origins "
            "(WARMTURN_ALLOWED_ORIGINS)."
        )
        await reply(403, error_object(message, code="origin_not_allowed"))(scope, receive, send)

    def _is_named(self, origin: str) -> bool:
        return origin in self._allowed or "*" in self._allowed


def _hosts(scope: Scope) -> list[str]:
    return Headers(scope=scope).getlist("host") if scope["type"] == "http" else []
