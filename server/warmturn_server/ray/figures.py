"""Every replica's figures behind one address: Prometheus asks who there is, then each of them by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..api.errors import error_object, reply

TARGETS: Final = "/metrics/targets"


class OnlyOwnFigures:
    """Serve asks some replica where it does not know the one that was named: better no figures than another's."""

    def __init__(self, app: ASGIApp, replica: str) -> None:
        self._app = app
        self._replica = replica

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/metrics") and not self._is_own(scope):
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_own(self, scope: Scope) -> bool:
        named = parse_qs(scope["query_string"].decode("latin-1")).get("replica", [])
        return named[-1:] == [self._replica]

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = (
            f"These figures would be those of replica {self._replica!r}. Ask one by its name, /metrics?replica=NAME; "
            f"{TARGETS} names them all. If that is what you did, it is gone, it has only just come, or Serve's proxies "
            "run without RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=warmturn_server.ray.proxy:middlewares."
        )
        await reply(404, error_object(message, code="replica_not_named"))(scope, receive, send)


def targets(names: Callable[[], Iterable[str]]) -> APIRouter:
    """For Prometheus' `http_sd_configs`: each replica at the address that was asked, with its name as parameter."""
    router = APIRouter()

    @router.get(TARGETS, include_in_schema=False)
    async def list_targets(request: Request) -> Response:
        found = sorted(await asyncio.to_thread(lambda: list(names())))
        place = {"targets": [request.headers.get("host", "")]}
        return JSONResponse([{**place, "labels": {"__param_replica": name, "replica": name}} for name in found])

    return router
