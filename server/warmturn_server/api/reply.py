"""A turn that is answered in one piece, and what its reply carries on request: token ids, look-back, logprobs."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request

from ..chat import ChatService, RunningTurn, TextTokenizer, Turn
from ..engine_api import TokenLogprobs
from ..errors import InvalidRequest
from .fields.bodies import INCLUDABLE
from .json import Json
from .sse import closed_on_disconnect
from .wire import LOOKBACK, SamplingFields


async def collect(turn: RunningTurn, request: Request) -> list[TokenLogprobs]:
    """Runs the turn to its end and gives its log-probabilities; a client that goes away ends it."""
    async with closed_on_disconnect(request.receive, turn):
        return [entry async for delta in turn.deltas() for entry in delta.said_logprobs]


async def extras(body: SamplingFields, turn: RunningTurn) -> Json:
    """Read it when the turn is over: a look-back is made after the reply."""
    asked: Json = {"skipped_fields": body.skipped} if body.skipped else {}
    if body.wants_token_ids:
        asked["prompt_token_ids"] = list(turn.prompt_token_ids)
        asked["output_token_ids"] = list(turn.output_token_ids)
    if body.wants_lookback:
        asked["lookback"] = await turn.lookback()
    return asked


async def later_extras(request: Request, turn: Turn, service: ChatService) -> Json:
    """The same for a reply of long ago, as far as it can be had: `?include=`, or `include[]` as of OpenAI's client."""
    asked = _included(request)
    for name in asked - INCLUDABLE - {LOOKBACK}:
        raise InvalidRequest(f"{name!r} cannot be included later; there is {LOOKBACK!r}", param="include")
    return {"lookback": await service.look_back(turn)} if LOOKBACK in asked else {}


def refuse_unknown_includes(request: Request) -> None:
    """Where nothing of ours can be included, and of OpenAI's there is nothing."""
    for name in _included(request) - INCLUDABLE:
        raise InvalidRequest(f"{name!r} cannot be included here", code="invalid_value", param="include")


def _included(request: Request) -> set[str]:
    query = request.query_params
    return {*query.getlist("include"), *query.getlist("include[]")}


def logprob_objects(tokenizer: TextTokenizer, logprobs: Iterable[TokenLogprobs]) -> list[Json]:
    """One object a token. Special tokens are left out: they are not part of the text."""
    return [
        {
            **_token(tokenizer, entry.token_id, entry.logprob),
            "top_logprobs": [_token(tokenizer, token_id, logprob) for token_id, logprob in entry.top],
        }
        for entry in logprobs
        if not tokenizer.is_special(entry.token_id)
    ]


def _token(tokenizer: TextTokenizer, token_id: int, logprob: float) -> Json:
    return {
        "token": tokenizer.token_text(token_id),
        "logprob": max(logprob, -9999.0),
        "bytes": list(tokenizer.token_bytes(token_id)),
    }
