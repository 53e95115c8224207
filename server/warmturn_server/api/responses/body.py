"""The Responses API's request body and response object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...chat import Begun, CacheWishes, Reply, RunningTurn, Turn
from ...engine_api import Grammar, SamplingParams
from ..cache_marks import CacheOptions
from ..field_types import Count, LongText, Metadata, ShortText
from ..fields import Decided, FieldRefused
from ..fields.bodies import INPUT_TOKENS, RESPONSES, TEXT
from ..items import reply_objects
from ..json import Json
from ..messages import Messages
from ..structure import TextFormat
from ..tools import HasTools, Tools
from ..wire import LOGPROBS, SamplingFields

_STATUS: Final[Mapping[str, str]] = {
    "stop": "completed",
    "length": "incomplete",
    "cancelled": "cancelled",
    "interrupted": "incomplete",
}


_LOST: Final = "The server went down, or failed, before this response was whole. Nothing of it is kept: ask again."


class ConversationReference(BaseModel):
    id: ShortText


class TextOptions(Decided):
    model_config = ConfigDict(extra="allow")
    fields_of: ClassVar = TEXT

    format: TextFormat | None = None

    def echo(self) -> Json:
        """As it was asked for; what was not is text."""
        return {"format": {"type": "text"}, **self.model_dump(by_alias=True, exclude_none=True)}


class CreateResponse(SamplingFields, HasTools):
    """Body of `POST /v1/responses`. What would silently change the answer's meaning (prompt templates) is refused."""

    fields_of: ClassVar = RESPONSES

    model: ShortText | None = None
    input: LongText | Messages = Field(default_factory=list)
    instructions: LongText | None = None
    conversation: ShortText | ConversationReference | None = None
    previous_response_id: ShortText | None = None
    store: bool | None = None
    stream: bool | None = None
    background: bool | None = None
    max_output_tokens: Count | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    metadata: Metadata | None = None
    tools: Tools | None = None
    max_tool_calls: Count | None = None
    text: TextOptions | None = None
    service_tier: ShortText | None = None
    user: ShortText | None = None
    safety_identifier: ShortText | None = None
    prompt_cache_key: ShortText | None = None
    prompt_cache_options: CacheOptions | None = None

    @model_validator(mode="after")
    def _keeps_no_prewarmed(self) -> Self:
        if self.cache.prewarm and self.store:
            raise FieldRefused("store", "must be false with prewarm: there is no reply that could be kept")
        return self

    @property
    def cache(self) -> CacheWishes:
        return self.prompt_cache_options.wishes if self.prompt_cache_options else CacheWishes()

    @model_validator(mode="after")
    def _is_known_later(self) -> Self:
        if self.background and (self.store is False or self.cache.prewarm):
            raise FieldRefused("background", "needs store: what is not stored cannot be asked for", "invalid_value")
        return self

    def forms(self) -> Iterator[Grammar]:
        if self.text and self.text.format:
            yield from self.text.format.forms("text.format")
        yield from super().forms()

    @property
    def conversation_id(self) -> str | None:
        return self.conversation.id if isinstance(self.conversation, ConversationReference) else self.conversation

    @property
    def num_logprobs(self) -> int | None:
        """How many alternatives to log; None for no logprobs at all."""
        if self.top_logprobs:
            return self.top_logprobs
        return 0 if LOGPROBS in (self.include or ()) else None

    def echo(self, sampling: SamplingParams, effort: str | None) -> Json:
        """`sampling` and `effort`: those that reach the model."""
        return {
            "metadata": self.metadata or {},
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "presence_penalty": self.presence_penalty or 0.0,
            "frequency_penalty": self.frequency_penalty or 0.0,
            "top_logprobs": self.top_logprobs or 0,
            "truncation": self.truncation or "disabled",
            "max_output_tokens": self.max_output_tokens,
            "max_tool_calls": self.max_tool_calls,
            "tools": [tool.echo for tool in self.tools or ()],
            "tool_choice": self.tool_choice or "auto",
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "text": (self.text or TextOptions()).echo(),
            "reasoning": {"summary": None, **(self.reasoning or {}), "effort": effort},
            "user": self.user,
            "safety_identifier": self.safety_identifier,
            "prompt_cache_key": self.prompt_cache_key,
            "prompt_cache_options": self.prompt_cache_options.echo() if self.prompt_cache_options else None,
            "prompt_cache_retention": None,
            "prompt_cache_diagnostics": None,
            **({"background": True} if self.background else {}),
        }


class CountTokens(CreateResponse):
    """Body of `POST /v1/responses/input_tokens`: that of a response that is not made."""

    fields_of: ClassVar = INPUT_TOKENS


def running_response(turn: RunningTurn) -> Json:
    """The response object while nothing is decided yet."""
    request = turn.request
    return {
        **_always(request.echo, request.instructions, request.stored),
        "id": turn.id,
        "created_at": turn.created_at,
        "model": turn.model_name,
        "status": "in_progress",
        "conversation": {"id": request.conversation_id} if request.conversation_id else None,
        "previous_response_id": request.previous_response_id,
    }


def failed_response(turn: RunningTurn, error: Json) -> Json:
    error = {"code": error["code"] or "server_error", "message": error["message"]}
    return {**running_response(turn), "status": "failed", "error": error}


def unwritten_response(begun: Begun, model: str) -> Json:
    """Of a turn that is not in the log: of what it was asked nothing is known any more."""
    conversation = begun.facts.get("conversation")
    lost = {"code": "server_error", "message": _LOST}
    return {
        **_always({"background": True}, None, stored=True),
        "id": begun.turn_id,
        "created_at": begun.created_at,
        "model": model,
        "status": "in_progress" if begun.runs_elsewhere else "failed",
        "error": None if begun.runs_elsewhere else lost,
        "conversation": {"id": conversation} if conversation else None,
        "previous_response_id": begun.facts.get("previous_response"),
    }


def begun_response(turn: Turn) -> Json:
    """How the response object was when nothing of it was decided yet."""
    assert turn.reply is not None, "only generated turns are responses"
    reply = turn.reply
    return {
        **_always(reply.echo, reply.instructions, turn.stored),
        "id": turn.id,
        "created_at": turn.created_at,
        "model": reply.model,
        "status": "in_progress",
        "conversation": {"id": turn.conversation_id} if turn.conversation_id else None,
        "previous_response_id": None if turn.conversation_id else turn.parent_id,
    }


def finished_response(turn: Turn, extras: Mapping[str, object] | None = None, logprobs: Iterable[Json] = ()) -> Json:
    """The response object of a turn that is over. `extras`: what was asked for beside the report."""
    assert turn.reply is not None, "only generated turns are responses"
    reply = turn.reply
    status = _STATUS[reply.finish_reason]
    return {
        **begun_response(turn),
        "completed_at": reply.completed_at if status == "completed" else None,
        "status": status,
        "incomplete_details": {"reason": "max_output_tokens"} if reply.finish_reason == "length" else None,
        "output": [shown for item in turn.output for shown in reply_objects(item, logprobs)],
        "usage": usage_object(reply),
        "warmturn": {**reply.report, **(extras or {})},
    }


def usage_object(reply: Reply) -> Json:
    """`cache_write_tokens`: prompt tokens whose state this turn added to what is saved."""
    report: Mapping[str, Any] = reply.report
    written = report["prefilled_tokens"] if report["reuse"] == "state" else 0
    return {
        "input_tokens": report["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": report["cached_tokens"], "cache_write_tokens": written},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        "total_tokens": report["prompt_tokens"] + reply.output_tokens,
    }


def _always(echo: Mapping[str, object], instructions: str | None, stored: bool) -> Json:
    """Every key that a response has, nullable or not: Open Responses asks for all of them."""
    return {
        "object": "response",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
        "instructions": instructions,
        "store": stored,
        "background": False,
        "service_tier": "default",
        "truncation": "disabled",
        **echo,
    }
