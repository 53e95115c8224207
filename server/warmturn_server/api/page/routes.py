"""Serves the page's files: the same bytes to everybody, with the headers that keep them harmless."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .files import page_files

router = APIRouter(include_in_schema=False)

_FOLDER: Final = "/page/"
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""`no-cache` means: keep it, but ask whether it is still the same before every use. A new server has new files."""


def is_open(path: str) -> bool:
    """Whether `path` is the page's own, which needs no key: without one it shows no data either."""
    return path in ("/", "/favicon.ico") or path.startswith(_FOLDER)


@router.get("/")
async def index(request: Request) -> Response:
    return _reply("index.html", request)


@router.get("/favicon.ico")
async def icon(request: Request) -> Response:
    return _reply("icon.svg", request)


@router.get("/page/{name:path}")
async def file(name: str, request: Request) -> Response:
    return _reply(name, request)


def _reply(name: str, request: Request) -> Response:
    found = page_files().get(name)
    if found is None:
        raise HTTPException(404, "Not Found")
    headers = {**_HEADERS, "ETag": found.etag}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)
