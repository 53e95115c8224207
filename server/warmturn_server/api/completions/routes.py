"""`/v1/chat/completions`: the stateless way. The whole conversation comes with every request; its state is found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Request
from starlette.responses import Response

from ...chat import ChatService, Principal, RunningTurn, TextTokenizer, TurnRequest
from ...engine_api import SamplingParams, TokenLogprobs
from ...errors import InvalidRequest
from ..caller import Caller, Defaults, Service, check_model
from ..errors import error_in_stream
from ..json import Json, JsonReply
from ..messages import as_items
from ..openapi import answers, or_stream
from ..reply import collect, extras, logprob_objects
from ..shapes import Completion
from ..sse import DONE, EventStream, data_event
from ..thinking import template_options
from .body import CreateCompletion, chunk_object, completion_object, extension, finish_reason, usage_chunk_object

router = APIRouter(prefix="/v1/chat/completions", tags=["chat completions"])


@router.post("", responses=or_stream(answers(Completion, 404, 429)))
async def create(
    body: CreateCompletion, request: Request, service: Service, caller: Caller, defaults: Defaults
) -> Response:
    check_model(service, body.model)
    with _input_is_messages():
        turn = await service.start(_turn_request(body, caller, service, defaults))
    if body.stream:
        return EventStream(turn, _chunks(body, turn, service.tokenizer))
    logprobs = _logprobs(body, service.tokenizer, await collect(turn, request))
    return JsonReply(completion_object(turn, logprobs, await extras(body, turn)))


def _turn_request(
    body: CreateCompletion, caller: Principal, service: ChatService, defaults: SamplingParams
) -> TurnRequest:
    return TurnRequest(
        input=as_items(body.messages),
        principal=caller,
        sampling=body.sampling(defaults, body.limit, body.num_logprobs),
        reuse=body.reuse_mode,
        tokens=body.tokens,
        keep_stopped=body.keep_stopped,
        prompt_end=body.prompt_end,
        truncates=body.truncation == "auto",
        lookback=body.wants_lookback,
        template_options=template_options(body, service),
        cache=body.cache,
    )


@contextmanager
def _input_is_messages() -> Iterator[None]:
    """What a turn is given has another name in this API, and a refusal has to name what the caller sent."""
    try:
        yield
    except InvalidRequest as error:
        if error.param == "input":
            error.param = "messages"
        raise


async def _chunks(body: CreateCompletion, turn: RunningTurn, tokenizer: TextTokenizer) -> AsyncIterator[bytes]:
    """With `include_usage` all chunks have a usage, null but for the last one."""
    usage = {"usage": None} if body.wants_usage else {}
    try:
        yield data_event({**chunk_object(turn, {"role": "assistant", "content": ""}), **usage})
        async for delta in turn.deltas():
            if delta.reasoning:
                yield data_event({**chunk_object(turn, {"reasoning_content": delta.reasoning}), **usage})
            logprobs = _logprobs(body, tokenizer, delta.said_logprobs)
            if delta.text or logprobs:
                yield data_event({**chunk_object(turn, {"content": delta.text}, logprobs), **usage})
        report = {"warmturn": extension(turn, await extras(body, turn))}
        yield data_event({**chunk_object(turn, {}, finish=finish_reason(turn)), **usage, **report})
        if body.wants_usage:
            yield data_event({**usage_chunk_object(turn), **report})
    except Exception as error:
        yield data_event({"error": error_in_stream(turn.id, error)})
    yield DONE


def _logprobs(
    body: CreateCompletion, tokenizer: TextTokenizer, logprobs: list[TokenLogprobs] | tuple[TokenLogprobs, ...]
) -> list[Json] | None:
    return logprob_objects(tokenizer, logprobs) if body.wants_logprobs else None
