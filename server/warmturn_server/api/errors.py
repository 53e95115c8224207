"""Every failure in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..errors import Conflict, Overloaded, PromiseRefused, WarmturnError
from .fields import FieldRefused
from .json import Json, JsonReply

_log = logging.getLogger(__name__)

_PLACES: Final = frozenset({"body", "query", "path", "header"})
_FIELD: Final = re.compile(r"^[a-z_]\w*$")
_TYPE_NAMES: Final = frozenset({"str", "int", "float", "bool", "list", "dict", "object", "nullable"})
_CODES: Final[Mapping[int, str]] = {
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}


_ABSENT: Final = dict.fromkeys(
    (
        *("/v1/embeddings", "/v1/rerank", "/v1/moderations", "/v1/messages", "/v1/responses/compact"),
        *("/v1/images/generations", "/v1/audio/speech", "/v1/audio/transcriptions"),
        *("/v1/files", "/v1/batches", "/v1/fine_tuning/jobs"),
    ),
    "this server has no such thing: it serves one chat model, at /v1/responses and /v1/chat/completions. See "
    "/openapi.json for what it offers.",
)
"""What clients look for at other servers."""


REPEATABLE: Final = "warmturn.repeatable"
"""In the scope of a request with an Idempotency-Key: a name that only the same request with the same key has."""


def error_object(
    message: str, *, kind: str = "invalid_request_error", code: str | None = None, param: str | None = None
) -> Json:
    return {"message": message, "type": kind, "param": param, "code": code}


_UNFORESEEN: Final = error_object(
    "The server failed on this request; its log says why.", kind="server_error", code="server_error"
)


def error_of(error: Exception) -> Json:
    """What a caller may know of a failure. What nobody foresaw is for the log alone."""
    if isinstance(error, WarmturnError):
        return error_object(str(error), kind=error.type, code=error.code, param=error.param)
    _log.error("a request failed", exc_info=error)
    return _UNFORESEEN


def error_in_stream(turn_id: str, error: Exception) -> Json:
    """The same for a turn whose reply has begun: no status in the access log would tell of it."""
    if isinstance(error, WarmturnError):
        _log.error("turn %s failed: %s", turn_id, error)
    return error_of(error)


def reply(status: int, error: Json, headers: Mapping[str, str] | None = None) -> JsonReply:
    return JsonReply({"error": error}, status, headers=dict(headers or {}))


def install(app: FastAPI) -> None:
    app.add_exception_handler(WarmturnError, _foreseen)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, http_failure)
    app.add_exception_handler(Exception, _unforeseen)


async def _foreseen(request: Request, error: Exception) -> Response:
    assert isinstance(error, WarmturnError)
    if error.status >= 500 and not isinstance(error, Overloaded):
        _log.error("a request failed: %s", error)
    headers = _retry_headers(error)
    if REPEATABLE in request.scope and isinstance(error, Conflict):
        headers["x-should-retry"] = "true"  # another server may be at work on the very same request
    return reply(error.status, error_of(error), headers)


def _retry_headers(error: WarmturnError) -> dict[str, str]:
    """OpenAI's own clients repeat 409 and 429 by themselves; a busy conversation stays busy, and a budget full, for
    longer than they wait."""
    if isinstance(error, Conflict | PromiseRefused):
        known = error.retry_after_seconds is not None
        return {"x-should-retry": "false", **({"Retry-After": str(error.retry_after_seconds)} if known else {})}
    return {"Retry-After": "1"} if error.status == 503 else {}


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = max(error.errors(), key=_tells_most)
    if first["type"] == "json_invalid":
        return reply(400, error_object("The request body is not valid JSON.", code="invalid_json"))
    if first["type"] == "model_attributes_type" and not _is_said_to_be_json(request):
        message = (
            "The request body is taken for JSON only with its header: send the header Content-Type: application/json."
        )
        return reply(400, error_object(message, code="unsupported_content_type"))
    message = str(first["msg"]).removeprefix("Value error, ")
    cause = first.get("ctx", {}).get("error")
    place = _param(first["loc"])
    if isinstance(cause, FieldRefused):
        param = f"{place}.{cause.param}" if place else cause.param
        return reply(400, error_object(f"{param}: {message}", code=cause.code, param=param))
    return reply(400, error_object(f"{place or 'The request'}: {message}", code="invalid_value", param=place))


def _tells_most(entry: Mapping[str, Any]) -> tuple[int, bool]:
    """The deepest; of a field that has several types, not what the types tell that were not meant."""
    return len(entry["loc"]), not entry["type"].endswith("_type")


def _is_said_to_be_json(request: Request) -> bool:
    """By the same rule by which FastAPI reads a body as JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def _param(location: tuple[int | str, ...]) -> str | None:
    """`input[0].content` from a validation error's place, without the names of types tried."""
    path = ""
    for step in location[1:] if location and location[0] in _PLACES else location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _FIELD.match(step) and step not in _TYPE_NAMES:
            path += f".{step}" if path else step
    return path or None


async def http_failure(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = str(error.detail)
    if absent := _ABSENT.get(request.scope["path"]):
        return reply(404, error_object(f"{request.scope['path']}: {absent}", code="unsupported_endpoint"))
    if error.status_code in (404, 405):
        message = f"{request.method} {request.scope['path']}: {message}. See /openapi.json for what this server offers."
    shape = error_object(message, code=_CODES.get(error.status_code))
    return reply(error.status_code, shape, error.headers)


async def _unforeseen(_: Request, error: Exception) -> Response:
    """Starlette raises it again behind this reply, so the server's log has the traceback."""
    del error
    return reply(500, _UNFORESEEN)
