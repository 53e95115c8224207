"""`/v1/chat/completions`: the stateless way. The whole conversation comes with every request; its state is found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Request
from starlette.responses import Response

from ...chat import ChatService, Choices, Principal, TextTokenizer, TurnRequest
from ...engine_api import SamplingParams, TokenLogprobs
from ...errors import InvalidRequest
from ..caller import Caller, Defaults, Service, check_model
from ..json import Json, JsonReply
from ..messages import as_items
from ..openapi import answers, or_stream
from ..reply import extras, logprob_objects
from ..shapes import Completion
from ..sse import EventStream, closed_on_disconnect, data_event, until_done
from ..thinking import template_options
from ..tools import definitions
from .body import (
    CreateCompletion,
    call_delta,
    choice_object,
    chunk_object,
    completion_object,
    extension,
    finish_reason,
    usage_chunk_object,
)
from .stream_options import StreamOptions

router = APIRouter(prefix="/v1/chat/completions", tags=["chat completions"])


@router.post("", responses=or_stream(answers(Completion, 404, 429)))
async def create(
    body: CreateCompletion, request: Request, service: Service, caller: Caller, defaults: Defaults
) -> Response:
    check_model(service, body.model)
    with _input_is_messages():
        choices = await service.start_choices(_turn_request(body, caller, service, defaults), body.n or 1)
    if body.stream:
        return EventStream(choices, until_done(choices.id, _chunks(body, choices, service.tokenizer)))
    return JsonReply(await _whole(body, choices, service.tokenizer, request))


async def _whole(body: CreateCompletion, choices: Choices, tokenizer: TextTokenizer, request: Request) -> Json:
    objects = list[Json]()
    async with closed_on_disconnect(request.receive, choices):
        for turn in choices.turns:
            logprobs = [entry async for delta in turn.deltas() for entry in delta.said_logprobs]
            objects.append(choice_object(turn, _logprobs(body, tokenizer, logprobs)))
    reports = [extension(turn, await extras(body, turn)) for turn in choices.turns]
    if len(objects) > 1:
        objects = [{**shown, "warmturn": report} for shown, report in zip(objects, reports, strict=True)]
    return completion_object(objects, choices.turns, reports[0])


def _turn_request(
    body: CreateCompletion, caller: Principal, service: ChatService, defaults: SamplingParams
) -> TurnRequest:
    return TurnRequest(
        input=as_items(body.messages),
        principal=caller,
        tools=definitions(body.offered),
        tool_rules=body.tool_rules,
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


async def _chunks(body: CreateCompletion, choices: Choices, tokenizer: TextTokenizer) -> AsyncIterator[bytes]:
    """With `include_usage` all chunks have a usage, null but for the last one where none is asked of each."""
    options, prompt, output = body.stream_options or StreamOptions(), len(choices.turns[0].prompt_token_ids), 0
    usage = options.usage_of_chunk(prompt, output)
    reports = dict[int, Json]()
    calls = dict[int, dict[str, int]]()
    for turn in choices.turns:
        yield data_event({**chunk_object(turn, {"role": "assistant", "content": ""}), **usage})
    async for turn, delta in choices.deltas():
        if delta is None:
            report = reports[turn.number] = {"warmturn": extension(turn, await extras(body, turn))}
            yield data_event({**chunk_object(turn, {}, finish=finish_reason(turn)), **usage, **report})
            continue
        output += len(delta.token_ids)
        usage = options.usage_of_chunk(prompt, output)
        if delta.reasoning:
            yield data_event({**chunk_object(turn, {"reasoning_content": delta.reasoning}), **usage})
        logprobs = _logprobs(body, tokenizer, delta.said_logprobs)
        if delta.text or logprobs:
            yield data_event({**chunk_object(turn, {"content": delta.text}, logprobs), **usage})
        for call in delta.calls:
            own = calls.setdefault(turn.number, {})
            begins, number = call.call_id not in own, own.setdefault(call.call_id, len(own))
            yield data_event({**chunk_object(turn, call_delta(call, number, begins=begins)), **usage})
    if body.wants_usage:
        yield data_event({**usage_chunk_object(choices.turns), **reports[0]})


def _logprobs(
    body: CreateCompletion, tokenizer: TextTokenizer, logprobs: list[TokenLogprobs] | tuple[TokenLogprobs, ...]
) -> list[Json] | None:
    return logprob_objects(tokenizer, logprobs) if body.wants_logprobs else None
