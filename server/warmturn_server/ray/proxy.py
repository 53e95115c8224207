"""In Serve's proxies, which see the whole of a request: names the session that it belongs to, for the router to go by.

Ray's routers see headers alone. Set in the environment of every node, before Ray is started there:
`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=warmturn_server.ray.proxy:middlewares`. Whatever goes wrong here, the request
is passed on as it came, and any replica serves it.
"""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import parse_qs

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..affinity import HEADER, session_of
from .trouble import TellTrouble

ONE_REPLICA: Final = "replica:"
"""How a session begins that stands for one replica, whoever it serves."""
_MOST_BYTES: Final = 2**20
_READ: Final = frozenset({"/v1/responses", "/v1/chat/completions"})
_log = logging.getLogger(__name__)


def middlewares() -> list[Middleware]:
    """For Serve to call."""
    return [Middleware(NameSession), Middleware(TellTrouble)]


class NameSession:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            begun = await _begin(receive) if _is_to_be_read(scope) else []
            scope, receive = _named(scope, begun), _again(begun, receive)
        await self._app(scope, receive, send)


def path_of(scope: Scope) -> str:
    """Without what the application as a whole is mounted under."""
    path = str(scope["path"])
    return path[max(path.find("/v1/"), 0) :]


def _is_to_be_read(scope: Scope) -> bool:
    return scope["method"] == "POST" and path_of(scope) in _READ


async def _begin(receive: Receive) -> list[Message]:
    """The body's messages, no further than it makes sense to read."""
    begun: list[Message] = []
    size, more = 0, True
    while more and size <= _MOST_BYTES:
        message = await receive()
        begun.append(message)
        size += len(message.get("body", b""))
        more = bool(message.get("more_body"))
    return begun


def _again(begun: list[Message], receive: Receive) -> Receive:
    """What was read already, then the rest."""
    waiting = iter(begun)

    async def replaying() -> Message:
        return next(waiting, None) or await receive()

    return replaying


def _named(scope: Scope, begun: list[Message]) -> Scope:
    try:
        session = _replica(scope) or session_of(path_of(scope), _header(scope), _body(begun))
    except Exception:
        _log.exception("a request is served by any replica, for its session could not be told")
        return scope
    if session is None:
        return scope
    others = [(name, value) for name, value in scope["headers"] if name != HEADER.encode()]
    return {**scope, "headers": [*others, (HEADER.encode(), session.encode())]}


def _replica(scope: Scope) -> str | None:
    """Figures are asked of a certain one."""
    if not scope["path"].endswith("/metrics"):
        return None
    *_, named = ["", *parse_qs(scope["query_string"].decode("latin-1")).get("replica", [])]
    return ONE_REPLICA + named if named and named.isascii() else None


def _header(scope: Scope) -> str:
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == HEADER.encode()]
    return given[-1] if given else ""


def _body(begun: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in begun)
