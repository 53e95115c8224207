"""What `/openapi.json` says beyond what FastAPI knows: what is answered, which failures there are, who may ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from .middleware import OPEN_PATHS
from .shapes import Failed

Answers = dict[int | str, dict[str, Any]]

_OF_EVERY_ROUTE: Final[Mapping[int, str]] = {
    400: "The request cannot be served as it is; `error.param` names the field",
    401: "The API key is missing or wrong",
    403: "A name or a page that this server does not answer to",
    408: "The request did not come in time",
    413: "The body is too large",
    415: "The body is packed in a way that is not taken here",
    503: "Not now: overloaded, going down, or the conversation log cannot be used",
}
_OF_POSTS: Final = {409: "Something else is done to the same thing, or its Idempotency-Key came with another request"}
_EVENT: Final = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}
_STREAM: Final = {"text/event-stream": {"itemSchema": _EVENT}}
"""As OpenAPI 3.2 and FastAPI itself describe a stream: event by event."""
_BEARER: Final = {"type": "http", "scheme": "bearer", "description": "The server's key: WARMTURN_API_KEY"}


def answers(shape: type[BaseModel], *statuses: int, links: Mapping[str, str] | None = None) -> Answers:
    """For a route: what it answers with 200, and the failures that it has beside those of every route.

    `links`: operations (by their id) that take the id of what is answered, with the parameter's name.
    """
    described: Answers = {200: {"model": shape}, **{status: {"model": Failed} for status in statuses}}
    if links:
        described[200]["links"] = {
            operation: {"operationId": operation, "parameters": {parameter: "$response.body#/id"}}
            for operation, parameter in links.items()
        }
    return described


def or_stream(described: Answers) -> Answers:
    """The same, or as server-sent events."""
    return {**described, 200: {**described[200], "content": _STREAM}}


def describe(app: FastAPI, *, needs_key: bool) -> None:
    """Replaces the schema that FastAPI makes: it says 422 where this server says 400."""
    made = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(made(), needs_key)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _completed(schema: dict[str, Any], needs_key: bool) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    for name in ("HTTPValidationError", "ValidationError"):
        components.get("schemas", {}).pop(name, None)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            for status, why in {**_OF_EVERY_ROUTE, **(_OF_POSTS if method == "post" else {})}.items():
                operation["responses"].setdefault(str(status), _failure(why))
            if needs_key and path not in OPEN_PATHS:
                operation["security"] = [{"key": []}]
    if needs_key:
        components["securitySchemes"] = {"key": _BEARER}
    return schema


def _failure(why: str) -> dict[str, Any]:
    shape = {"$ref": f"#/components/schemas/{Failed.__name__}"}
    return {"description": why, "content": {"application/json": {"schema": shape}}}
