"""Conversations as files: one to download, in one piece or from any place on; one to bring, part by part."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from ..chat import ConversationId
from ..chat.files.incoming import Incoming
from ..chat.files.outgoing import Outgoing
from ..chat.files.service import ConversationFiles
from .caller import Tenant
from .json import Json, JsonReply
from .openapi import Answers, answers
from .shapes import Deleted, Failed, ImportShape

router = APIRouter(prefix="/v1", tags=["files"])

IMPORTS: Final = "/v1/imports"
_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")
_BYTES: Final[Json] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_GIVEN: Final[Json] = {"requestBody": {"required": True, "content": _BYTES}}
_FILE: Final[Answers] = {
    200: {"description": "The file", "content": _BYTES},
    206: {"description": "A part of it", "content": _BYTES},
    404: {"model": Failed},
    416: {"description": "It is not that long"},
}
_GO_ON: Final = {f"files_{name}": "import_id" for name in ("read", "part", "complete", "abandon")}


def _files(request: Request) -> ConversationFiles:
    return cast(ConversationFiles, request.app.state.files)


Files = Annotated[ConversationFiles, Depends(_files)]


@router.get("/conversations/{conversation_id}/file", responses=_FILE, response_class=Response)
async def download(
    conversation_id: str, request: Request, files: Files, tenant: Tenant, state: bool = True
) -> Response:
    """The conversation as a file, with its saved state or, with `state=false`, its words and token ids alone.

    `Range` goes on in the middle; with `If-Range`, from the start if it is another file by now.
    """
    name = ConversationId(conversation_id)
    file = await asyncio.to_thread(files.outgoing, tenant, name, with_state=state)
    tag, total = f'"{file.tag}"', file.total_bytes
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    headers["Content-Disposition"] = f'attachment; filename="{re.sub(r"[^0-9A-Za-z_]", "_", file.name)}.warmturn"'
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or request.headers.get("if-range", tag) != tag:
        return _sent(file, 0, total, {**headers, "Content-Length": str(total)}, 200)
    start, stop = int(asked[1]), min(int(asked[2]) + 1, total) if asked[2] else total
    if not start < stop:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{total}"})
    headers |= {"Content-Range": f"bytes {start}-{stop - 1}/{total}", "Content-Length": str(stop - start)}
    return _sent(file, start, stop, headers, 206)


@router.post("/imports", responses=answers(ImportShape, 409, links=_GO_ON), openapi_extra=_GIVEN)
async def begin(request: Request, files: Files, tenant: Tenant, keep_id: bool = False) -> Response:
    """With what the file begins with, up to its first part. Answers which parts to send; the same again goes on."""
    head = await request.body()
    return await _told(await asyncio.to_thread(files.open, tenant, head, keep_id=keep_id))


@router.get("/imports/{import_id}", responses=answers(ImportShape, 404))
async def read(import_id: str, files: Files, tenant: Tenant) -> Response:
    """What has become of it, and which parts to send next."""
    return await _told(await asyncio.to_thread(files.incoming, tenant, import_id))


@router.post("/imports/{import_id}/parts/{number}", responses=answers(ImportShape, 404), openapi_extra=_GIVEN)
async def part(import_id: str, number: int, request: Request, files: Files, tenant: Tenant) -> Response:
    """One part, as it lies in the file. What is wanted next, only `GET` says."""
    incoming = await asyncio.to_thread(files.incoming, tenant, import_id)
    await asyncio.to_thread(incoming.take, number, await request.body())
    return JsonReply(_import_object(incoming))


@router.post("/imports/{import_id}", responses=answers(ImportShape, 404, 409))
async def complete(import_id: str, files: Files, tenant: Tenant) -> Response:
    """Make a conversation of it. State that was not sent is computed when it is needed."""
    incoming = await asyncio.to_thread(files.incoming, tenant, import_id)
    await asyncio.to_thread(files.complete, incoming)
    return await _told(incoming)


@router.delete("/imports/{import_id}", responses=answers(Deleted, 404))
async def abandon(import_id: str, files: Files, tenant: Tenant) -> Response:
    """Forget what was sent. A conversation that has been made of it stays."""
    await asyncio.to_thread(files.abandon, await asyncio.to_thread(files.incoming, tenant, import_id))
    return JsonReply({"id": import_id, "object": "import.deleted", "deleted": True})


async def _told(incoming: Incoming) -> Response:
    wanted = await asyncio.to_thread(incoming.wanted)
    parts = [{"number": one.number, "offset": one.offset, "bytes": one.num_bytes} for one in wanted]
    return JsonReply({**_import_object(incoming), "wanted": parts})


def _import_object(incoming: Incoming) -> Json:
    missed, tokens = incoming.missed, incoming.state_tokens
    miss = {"at_token": missed.at_token, "reason": missed.reason, "why": missed.why} if missed else None
    return {
        "id": incoming.name,
        "object": "import",
        "status": "open" if incoming.conversation is None else "completed",
        "trust": incoming.trust.value,
        "conversation": incoming.conversation,
        "state": {"tokens": tokens, "taken_tokens": incoming.taken_tokens, "miss": miss},
        "wanted": [],
    }


def _sent(file: Outgoing, start: int, stop: int, headers: dict[str, str], status: int) -> Response:
    pieces = _pieces(file.read(start, stop))
    return StreamingResponse(pieces, status, headers, media_type="application/octet-stream")


async def _pieces(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
