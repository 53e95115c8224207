"""`/v1/completions`: for harnesses and base models. What it computes is found again; nothing of it is in any log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from ...chat import BarePrompt, BareReplies, ChatService, interleaved
from ...engine_api import ReuseMode, SamplingParams
from ...errors import InvalidRequest
from ..caller import Caller, Defaults, Service, check_model
from ..completions.stream_options import StreamOptions, used
from ..json import Json, JsonReply
from ..openapi import answers, or_stream
from ..shapes import BareCompletion
from ..sse import EventStream, closed_on_disconnect, data_event, until_done
from .body import CreateBareCompletion
from .choices import Choice

router = APIRouter(prefix="/v1/completions", tags=["completions"])


@router.post("", responses=or_stream(answers(BareCompletion, 404)))
async def create(
    body: CreateBareCompletion, request: Request, service: Service, caller: Caller, defaults: Defaults
) -> Response:
    check_model(service, body.model)
    prompts = await asyncio.to_thread(_prompts, body, service, defaults)
    replies = await service.complete(prompts, body.num_choices, caller)
    choices = [Choice(body, service.tokenizer, number, prompt) for number, prompt in enumerate(replies.prompts)]
    if body.stream:
        return EventStream(replies, until_done(replies.id, _chunks(body, replies, choices)))
    async with closed_on_disconnect(request.receive, replies):
        told = [choice.whole([piece async for piece in _pieces(replies, choice)]) for choice in choices]
    skipped: Json = {"warmturn": {"skipped_fields": body.skipped}} if body.skipped else {}
    return JsonReply({**_head(replies), "choices": told, "usage": _usage(choices), **skipped})


def _prompts(body: CreateBareCompletion, service: ChatService, defaults: SamplingParams) -> list[BarePrompt]:
    """Where the prompt's own tokens are looked at, all of them are computed."""
    sampling = body.sampling(defaults, max(body.num_new_tokens, 1), body.logprobs)
    reuse = body.reuse_mode if body.of_prompt is None else ReuseMode.PROMPT
    made = list[BarePrompt]()
    for prompt in body.prompts:
        ids = tuple(prompt) if isinstance(prompt, list) else _encoded(body, service, prompt)
        made.append(BarePrompt(ids, replace(sampling), reuse, body.of_prompt))
    return made


def _encoded(body: CreateBareCompletion, service: ChatService, text: str) -> tuple[int, ...]:
    ids = service.tokenizer.prompt_ids(text, add_special_tokens=body.add_special_tokens is not False)
    if not ids:
        raise InvalidRequest("The prompt is empty: give some text, or ids.", param="prompt")
    return ids


async def _pieces(replies: BareReplies, choice: Choice) -> AsyncIterator[Json]:
    begun = False
    async for delta in replies.deltas(choice.number):
        if not begun:
            begun = True
            yield choice.echoed(delta)
        yield choice.said(delta)


async def _chunks(body: CreateBareCompletion, replies: BareReplies, choices: Sequence[Choice]) -> AsyncIterator[bytes]:
    options = body.stream_options or StreamOptions()
    async for number, piece in interleaved([_pieces(replies, choice) for choice in choices]):
        usage = options.usage_of_chunk(*_counts(choices))
        if piece is None:
            last = {"index": number, "text": "", "logprobs": None, **choices[number].ending()}
            yield data_event({**_head(replies), "choices": [last], **usage})
        elif piece["text"] or (piece["logprobs"] and piece["logprobs"]["tokens"]):
            yield data_event({**_head(replies), "choices": [piece], **usage})
    if body.wants_usage:
        yield data_event({**_head(replies), "choices": [], "usage": _usage(choices)})


def _head(replies: BareReplies) -> Json:
    return {
        "id": replies.id,
        "object": "text_completion",
        "created": replies.created_at,
        "model": replies.model_name,
        "system_fingerprint": None,
    }


def _usage(choices: Sequence[Choice]) -> Json:
    cached = sum(choice.finish.report.cached_tokens for choice in _firsts(choices) if choice.finish)
    return {**used(*_counts(choices)), "prompt_tokens_details": {"cached_tokens": cached}}


def _counts(choices: Sequence[Choice]) -> tuple[int, int]:
    """Tokens of the prompts, and of the replies so far."""
    prompt = sum(len(choice.prompt.token_ids) for choice in _firsts(choices))
    return prompt, sum(len(choice.output_ids) if choice.body.num_new_tokens else 0 for choice in choices)


def _firsts(choices: Sequence[Choice]) -> list[Choice]:
    """A prompt counts once, with the first of its choices, for which it was computed."""
    return [choice for choice in choices if choice.number % choice.body.num_choices == 0]
