"""What a reply is to be: which functions it may call, the form that it has to have, and how it is read."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..engine_api import SamplingParams
from ..engine_api.engine import TurnEngine
from ..errors import InvalidRequest
from .calls.calling import Calling
from .calls.forced import needs_form, relaxed, with_calls
from .context import TurnContext
from .model import TurnRequest
from .reply_parser import ReplyParser, TextOnly
from .thinking.parser import Style
from .transcript.tokenizer import TextTokenizer


class ReplyForms:
    def __init__(
        self, engine: TurnEngine, tokenizer: TextTokenizer, style: Style | None, calling: Calling | None
    ) -> None:
        """`style`: how the model thinks aloud, `calling`: how it calls functions; None where it does not."""
        self._engine = engine
        self._tokenizer = tokenizer
        self._style = style
        self._calling = calling

    def with_tools(self, request: TurnRequest) -> TurnRequest:
        """Nobody waits for a call that cannot come: raises `InvalidRequest` where the model calls no functions. Who
        wants no call goes without them."""
        if not request.tools or self._calling:
            return request
        if not request.tool_rules.may_call:
            return replace(request, tools=())
        template = self._tokenizer.template
        why = template.tools_refused or "The model's chat template knows no tools."
        if template.knows_tools:
            why = "How this model calls functions is not known here."
        raise InvalidRequest(f"{why} Ask without tools.", code="unsupported_value", param="tools")

    def sampling(self, request: TurnRequest, context: TurnContext) -> SamplingParams:
        """A form is made ready here; it begins behind the thought that the model may have first."""
        sampling = request.sampling
        if self._calling and request.tools:
            sampling = self._with_calls(request, self._calling)
        if sampling.grammar is None:
            return sampling
        thought = self._style.thought(context.prompt_end) if self._style else None
        grammar = replace(sampling.grammar, thought=thought)
        self._engine.compile(grammar, request.tenant)
        return replace(sampling, grammar=grammar)

    def parser(self, request: TurnRequest, prompt_end: str) -> ReplyParser:
        calling = self._calling if request.tools and request.tool_rules.may_call else None
        parser = self._style.parser(prompt_end, tells_calls=calling is not None) if self._style else TextOnly()
        return calling.parser(request.tools, parser) if calling else parser

    def _with_calls(self, request: TurnRequest, calling: Calling) -> SamplingParams:
        tools, rules = request.tools, request.tool_rules
        if needs_form(rules, calling):
            tools = tuple(relaxed(tools, rules, partial(self._engine.compile, tenant=request.tenant)))
        return with_calls(request.sampling, tools, rules, calling, self._tokenizer.special_id)
