"""What the first request would otherwise pay, paid before the server says that it is ready."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

_NOWHERE: Final = "/that/is/no/route"


async def warm_up(app: FastAPI) -> None:
    """FastAPI makes its routes out of their functions when a request first asks which of them is meant, and imports
    what runs functions on threads when it first does: 50 ms together."""
    scope = {"type": "http", "method": "GET", "path": _NOWHERE, "root_path": "", "headers": []}
    for route in app.routes:
        route.matches(scope)
    await run_in_threadpool(_nothing)
    await asyncio.to_thread(_nothing)


def _nothing() -> None: ...
