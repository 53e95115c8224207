"""The Chat Completions API's request body and its two reply objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from ...chat import MOST_CHOICES, CacheWishes, Reply, RunningTurn, ToolCall
from ...engine_api import Grammar
from ..cache_marks import CompletionCacheOptions
from ..field_types import Count, Metadata, ShortText
from ..fields import FieldRefused
from ..fields.bodies import COMPLETIONS
from ..json import Json
from ..messages import InputMessage
from ..structure import ResponseFormat
from ..tools import CompletionTools, HasTools
from ..wire import LOGPROBS, SamplingFields
from .stream_options import StreamOptions, used


class CreateCompletion(SamplingFields, HasTools):
    """Body of `POST /v1/chat/completions`; the same rules as for responses."""

    fields_of: ClassVar = COMPLETIONS
    place_of_schemas: ClassVar = "tools[{}].function.parameters"

    messages: Annotated[list[InputMessage], Field(min_length=1, max_length=4096)]
    model: ShortText | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    metadata: Metadata | None = None
    user: ShortText | None = None
    response_format: ResponseFormat | None = None
    prompt_cache_options: CompletionCacheOptions | None = None
    tools: CompletionTools | None = None

    def forms(self) -> Iterator[Grammar]:
        if self.response_format:
            yield from self.response_format.forms("response_format")
        yield from super().forms()

    @model_validator(mode="after")
    def _means_what_it_says(self) -> Self:
        if self.top_logprobs and not self.wants_logprobs:
            raise FieldRefused("top_logprobs", "needs logprobs to be true", "invalid_value")
        return self

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def num_logprobs(self) -> int | None:
        return self.top_logprobs or 0 if self.wants_logprobs else None

    @property
    def wants_logprobs(self) -> bool:
        return bool(self.logprobs) or LOGPROBS in (self.include or ())

    @property
    def cache(self) -> CacheWishes:
        return self.prompt_cache_options.wishes if self.prompt_cache_options else CacheWishes()

    @property
    def wants_usage(self) -> bool:
        """With a last chunk of its own."""
        return bool(self.stream_options and self.stream_options.include_usage)


def completion_object(choices: Sequence[Json], turns: Sequence[RunningTurn], report: Json) -> Json:
    """`report`: on the first choice. Where there are several, each has its own besides."""
    return {
        **_head(turns[0], "chat.completion"),
        "choices": [*choices],
        "usage": usage_object(turns),
        "warmturn": report,
    }


def choice_object(turn: RunningTurn, logprobs: list[Json] | None) -> Json:
    """Of a message that goes on it has what is new."""
    return {
        "index": turn.number,
        "message": message_object(turn),
        "logprobs": _logprobs(logprobs),
        "finish_reason": finish_reason(turn),
    }


def message_object(turn: RunningTurn) -> Json:
    """Nothing was said where functions were called and no more."""
    (item,) = turn.result.output
    said = item.text.removeprefix(turn.opening)
    calls = [call_object(call) for call in item.calls]
    message = {"role": "assistant", "content": said or (None if calls else ""), "refusal": None, **_thought(turn)}
    return {**message, "tool_calls": calls} if calls else message


def call_object(call: ToolCall) -> Json:
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def call_delta(call: ToolCall, number: int, *, begins: bool) -> Json:
    """Of a chunk: the first one of a call names it."""
    whole = call_object(call) if begins else {"function": {"arguments": call.arguments}}
    return {"tool_calls": [{"index": number, **whole}]}


def chunk_object(
    turn: RunningTurn, delta: Mapping[str, object], logprobs: list[Json] | None = None, finish: str | None = None
) -> Json:
    choice = {"index": turn.number, "delta": dict(delta), "logprobs": _logprobs(logprobs), "finish_reason": finish}
    return {**_head(turn, "chat.completion.chunk"), "choices": [choice]}


def usage_chunk_object(turns: Sequence[RunningTurn]) -> Json:
    return {**_head(turns[0], "chat.completion.chunk"), "choices": [], "usage": usage_object(turns)}


def finish_reason(turn: RunningTurn) -> str:
    """A turn that was cancelled has no reason in this API; it was cut short."""
    reply = turn.result.reply
    if reply is None or reply.finish_reason != "stop":
        return "length"
    return "tool_calls" if turn.result.output[0].calls else "stop"


def extension(turn: RunningTurn, extras: Json) -> Json:
    return {**_reply(turn).report, **extras}


def usage_object(turns: Sequence[RunningTurn]) -> Json:
    """The prompt counts once, with the first choice, for which it was computed."""
    replies = [_reply(turn) for turn in turns]
    report: Mapping[str, Any] = replies[0].report
    output = sum(reply.output_tokens for reply in replies)
    reasoning = sum(reply.reasoning_tokens for reply in replies)
    return {
        **used(report["prompt_tokens"], output),
        "prompt_tokens_details": {"cached_tokens": report["cached_tokens"], "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
    }


def _reply(turn: RunningTurn) -> Reply:
    reply = turn.result.reply
    assert reply is not None
    return reply


def _thought(turn: RunningTurn) -> Json:
    """Only where there was a thought: OpenAI's own messages have no such field."""
    thought = turn.result.output[0].reasoning
    return {"reasoning_content": thought} if thought else {}


def _head(turn: RunningTurn, kind: str) -> Json:
    return {
        "id": turn.choice_of.replace("resp_", "chatcmpl-", 1),
        "object": kind,
        "created": turn.created_at,
        "model": turn.model_name,
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _logprobs(entries: list[Json] | None) -> Json | None:
    return None if entries is None else {"content": entries, "refusal": None}
