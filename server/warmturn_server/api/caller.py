"""Who asks, and of which service: what the routes depend on."""

from __future__ import annotations

from typing import Annotated, Final, cast

from fastapi import Depends, Request

from ..chat import ChatService, Principal
from ..engine_api import SamplingParams
from ..errors import NotFound
from .errors import REPEATABLE

_ID_DIGITS: Final = 48


def _service(request: Request) -> ChatService:
    return cast(ChatService, request.app.state.service)


def _sampling(request: Request) -> SamplingParams:
    return cast(SamplingParams, request.app.state.sampling)


def principal() -> Principal:
    """There is one so far."""
    return Principal()


Service = Annotated[ChatService, Depends(_service)]
Defaults = Annotated[SamplingParams, Depends(_sampling)]
"""How tokens are chosen where a request does not say it."""
Caller = Annotated[Principal, Depends(principal)]


def _tenant(caller: Caller) -> str:
    return caller.tenant


Tenant = Annotated[str, Depends(_tenant)]


def repeatable_id(request: Request, prefix: str) -> str | None:
    """The id of what is made of a request with an Idempotency-Key: sent again, wherever to, it names the same thing."""
    name = request.scope.get(REPEATABLE)
    return f"{prefix}{name[:_ID_DIGITS]}" if name else None


def check_model(service: ChatService, model: str | None) -> None:
    """Nobody gets another model's answer than the one asked for."""
    served = service.engine.model_name
    if model is not None and model != served:
        raise NotFound(
            f"The model '{model}' does not exist here; this server serves '{served}'.",
            code="model_not_found",
            param="model",
        )
