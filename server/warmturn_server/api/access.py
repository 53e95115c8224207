"""Who may speak to this server at all: under which names it is asked, and which pages' scripts it answers.

For a browser, a page on a name that its owner resolves to 127.0.0.1 (DNS rebinding) has this server's origin; only the
name in `Host` tells. An address cannot be made to point elsewhere, so addresses pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ..names import is_of, is_own_name
from .errors import error_object, reply

_METHODS: Final = ("GET", "HEAD", "POST", "DELETE")
_TOLD: Final = ("X-Warmturn-Response", "Retry-After", "X-Should-Retry")


@dataclass(frozen=True, slots=True)
class Access:
    """`api_key`: what every caller has to show, None for nothing.

    `hosts`: names of this server, besides `localhost`; `*.example.org` for all below one, `*` for any. `origins`: of
    other servers' pages whose scripts are answered, as browsers write them: `https://chat.example.org`; `*` for any.
    """

    api_key: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def middleware(self) -> list[Middleware]:
        """What is asked of a request's names; a preflight is answered here, for browsers send no key with it."""
        checks = [Middleware(CheckHost, allowed=self.hosts), Middleware(CheckOrigin, allowed=self.origins)]
        if self.origins:
            checks.append(
                Middleware(
                    CORSMiddleware,
                    allow_origins=self.origins,
                    allow_methods=_METHODS,
                    allow_headers=("*",),
                    expose_headers=_TOLD,
                    allow_private_network=True,
                )
            )
        return checks


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
