"""The HTTP application: routes, limits and errors around a chat service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from ..chat import ChatService
from ..chat.files.head import MAX_PART_BYTES
from ..chat.files.service import ConversationFiles
from ..engine_api import SamplingParams
from . import conversations, errors, files, models, openapi, operations, page
from .access import Access
from .bare import routes as bare
from .completions import routes as completions
from .envelope import NameRequests, UnpackBody
from .middleware import AnswerHead, CountRequests, LimitBody, RequireKey
from .operations import ServerMetrics
from .responses import routes as responses
from .responses.background import Background
from .retries import AnswerOnce

MAX_BODY_BYTES: Final = 2**20
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    service: ChatService,
    metrics: ServerMetrics,
    *,
    access: Access = Access(),  # noqa: B008 - frozen
    sampling: SamplingParams = SamplingParams(),
    lifespan: Lifespan | None = None,
    conversation_files: ConversationFiles | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """`lifespan` starts and stops what the service uses, `sampling` holds for what requests leave out of it.
    `conversation_files`: None where conversations neither leave nor come as files.

    FastAPI's own pages are off: they load a CDN's scripts.
    """
    middleware = [Middleware(NameRequests), Middleware(AnswerHead), Middleware(CountRequests, counter=metrics)]
    middleware += access.middleware()
    if access.api_key is not None:
        middleware.append(Middleware(RequireKey, api_key=access.api_key))
    larger = {files.IMPORTS: MAX_PART_BYTES}
    middleware += [
        Middleware(LimitBody, max_bytes=max_body_bytes, larger=larger),
        Middleware(UnpackBody, max_bytes=max_body_bytes),
        Middleware(AnswerOnce),
    ]
    app = FastAPI(
        title="Warmturn",
        lifespan=lifespan,
        middleware=middleware,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    app.state.service = service
    app.state.sampling = sampling
    app.state.metrics = metrics
    app.state.background = Background()
    errors.install(app)
    for group in (responses, conversations, completions, bare, models, operations, page):
        app.include_router(group.router)
    if conversation_files is not None:
        app.state.files = conversation_files
        app.include_router(files.router)
    openapi.describe(app, needs_key=access.api_key is not None)
    return app


def _operation_id(route: APIRoute) -> str:
    """As links and generated clients name it."""
    return "_".join([*map(str, route.tags[:1]), route.name]).replace(" ", "_")
