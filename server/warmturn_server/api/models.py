"""`/v1/models`: the one model that is served."""

from __future__ import annotations

import time

from fastapi import APIRouter
from starlette.responses import Response

from ..chat import ChatService
from ..engine_api import SamplingParams
from .caller import Defaults, Service, check_model
from .json import Json, JsonReply
from .openapi import answers
from .shapes import ModelList, ModelShape

router = APIRouter(prefix="/v1/models", tags=["models"])

_STARTED = int(time.time())


def _model_object(service: ChatService, defaults: SamplingParams) -> Json:
    return {
        "id": service.engine.model_name,
        "object": "model",
        "created": _STARTED,
        "owned_by": "warmturn",
        "context_length": service.engine.context_length,
        "sampling_defaults": defaults.choice,
        "reasoning_format": service.style.format.name if service.style else None,
        "tool_format": service.calling.form.name if service.calling else None,
        "chat_template_refuses": list(service.template_refusals),
        "chat_template_kwargs": sorted(service.tokenizer.template.options),
    }


@router.get("", responses=answers(ModelList))
async def listing(service: Service, defaults: Defaults) -> Response:
    return JsonReply({"object": "list", "data": [_model_object(service, defaults)]})


@router.get("/{model:path}", responses=answers(ModelShape, 404))
async def get(model: str, service: Service, defaults: Defaults) -> Response:
    check_model(service, model)
    return JsonReply(_model_object(service, defaults))
