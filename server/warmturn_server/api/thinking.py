"""How much a model is to think: from what a request asks for to what the model's template takes."""

from __future__ import annotations

import re
from typing import Final

from ..chat import ChatService, TemplateOptions
from ..chat.transcript.template import OPTIONS
from ..errors import InvalidRequest
from .wire import ThinkingFields

_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


def template_options(body: ThinkingFields, service: ChatService) -> TemplateOptions:
    """Raises `InvalidRequest` for what no template is told, and for what this model's does not ask for.

    An effort that it cannot be told changes nothing, and the reply does not name it: clients send one to every model.
    """
    template = service.tokenizer.template
    options = {**template.effort(body.effort)} if body.effort else {}
    for name, value in (body.chat_template_kwargs or {}).items():
        if name not in OPTIONS:
            raise _refused(name, f"is not taken; there are {', '.join(sorted(OPTIONS))}")
        if name not in template.options:
            known = ", ".join(sorted(template.options)) or "nothing of the kind"
            raise _refused(name, f"is nothing that this model's chat template asks for: it asks for {known}")
        options[name] = _scalar(name, value)
    return options


def _scalar(name: str, value: object) -> bool | int | str:
    if isinstance(value, bool | int) or (isinstance(value, str) and _WORD.fullmatch(value)):
        return value
    raise _refused(name, "must be true, false, a whole number or one word")


def _refused(name: str, message: str) -> InvalidRequest:
    param = f"chat_template_kwargs.{name}"
    return InvalidRequest(f"{param} {message}.", code="unsupported_value", param=param)
