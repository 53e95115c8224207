"""Who asks, and of which service: what the routes depend on."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from ..chat import ChatService
from ..errors import NotFound


def _service(request: Request) -> ChatService:
    return cast(ChatService, request.app.state.service)


def _tenant(request: Request) -> str:
    """The namespace of the caller's conversations and saved state. Only the server says which; there is one so far."""
    del request
    return ""


Service = Annotated[ChatService, Depends(_service)]
Tenant = Annotated[str, Depends(_tenant)]


def check_model(service: ChatService, model: str | None) -> None:
    """Nobody gets another model's answer than the one asked for."""
    served = service.engine.model_name
    if model is not None and model != served:
        raise NotFound(
            f"The model '{model}' does not exist here; this server serves '{served}'.",
            code="model_not_found",
            param="model",
        )
