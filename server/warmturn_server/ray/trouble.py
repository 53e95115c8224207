"""What Serve's proxies say when they have no replica, or it went before it answered: in OpenAI's shape, as HAProxy."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..api.errors import error_object, reply
from ..api.json import JsonReply

_GONE: Final = (
    "The server went away before it answered. If this was a turn, see whether it is in the conversation before you ask "
    "again."
)


class TellTrouble:
    """Clients of OpenAI's repeat a 500 by themselves, and a turn that may have been said is not to be said twice."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "/v1/" not in scope["path"]:
            await self._app(scope, receive, send)
            return
        begun, told = False, False

        async def telling(message: Message) -> None:
            nonlocal begun, told
            if message["type"] == "http.response.start" and _is_serves_own(message):
                begun = told = True
                await _in_our_words(message["status"])(scope, receive, send)
            elif not told:
                begun = True
                await send(message)

        await self._app(scope, receive, telling)
        if not begun:  # its replica died
            await _in_our_words(500)(scope, receive, send)


def _is_serves_own(message: Message) -> bool:
    """Ours are JSON."""
    kind = Headers(raw=message["headers"]).get("content-type", "")
    return int(message["status"]) >= 500 and not kind.startswith("application/json")


def _in_our_words(status: int) -> JsonReply:
    if status == 503:
        nobody = error_object("No server is ready; try again.", kind="server_error", code="no_server")
        return reply(503, nobody, {"Retry-After": "2"})
    return reply(502, error_object(_GONE, kind="server_error", code="server_gone"), {"x-should-retry": "false"})
