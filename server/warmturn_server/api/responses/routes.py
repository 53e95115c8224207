"""`/v1/responses`: the stateful way to have a conversation."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from ...chat import ChatService, ConversationId, Principal, RunningTurn, Turn, TurnId, TurnRequest
from ...engine_api import SamplingParams
from ...errors import NotFound
from ..caller import Caller, Defaults, Service, Tenant, check_model, repeatable_id
from ..json import JsonReply
from ..openapi import answers, or_stream
from ..pages import PageQuery, page_of_items
from ..reply import collect, extras, logprob_objects, refuse_unknown_includes
from ..retries import answer_deleted
from ..shapes import Deleted, InputTokens, ItemPage, ResponseShape
from ..sse import EventStream, replay, turn_headers
from ..thinking import template_options
from ..tools import definitions
from .background import InBackground
from .body import CountTokens, CreateResponse, finished_response, running_response
from .events import ResponseEvents, replayed_events
from .given import given_items
from .later import NOTHING_YET, Later, listening

router = APIRouter(prefix="/v1/responses", tags=["responses"])

_AFTERWARDS = {f"responses_{name}": "response_id" for name in ("get", "input_items", "cancel", "delete")}


@router.post("", responses=or_stream(answers(ResponseShape, 404, 409, 429, links=_AFTERWARDS)))
async def create(
    body: CreateResponse,
    request: Request,
    service: Service,
    caller: Caller,
    defaults: Defaults,
    background: InBackground,
) -> Response:
    check_model(service, body.model)
    asked = await _turn_request(body, caller, service, defaults)
    if known := repeatable_id(request, "resp_"):
        asked = replace(asked, turn_id=TurnId(known))
        if made := await service.repeated(caller.tenant, TurnId(known)):
            return _again(made, asked.stored, streams=bool(body.stream))
    turn = await service.start(asked)
    events = ResponseEvents(turn, service.tokenizer, partial(extras, body, turn))
    if body.background:
        log = background.begin(turn, events)
        return listening(log, NOTHING_YET) if body.stream else JsonReply(log.response, headers=turn_headers(turn))
    if body.stream:
        return EventStream(turn, aiter(events))
    return await _answer(body, turn, request, service)


@router.post("/input_tokens", responses=answers(InputTokens, 404))
async def input_tokens(body: CountTokens, service: Service, caller: Caller, defaults: Defaults) -> Response:
    """Of the prompt that a response to this would have; nothing is computed."""
    check_model(service, body.model)
    count = await service.count_input(await _turn_request(body, caller, service, defaults))
    return JsonReply({"object": "response.input_tokens", "input_tokens": count})


def _again(made: Turn, was_stored: bool, *, streams: bool) -> Response:
    """From the log, unless the response was deleted there, or what it said from its conversation."""
    if not made.output or (was_stored and not made.stored):
        return answer_deleted()
    return replay(replayed_events(made, {})) if streams else JsonReply(finished_response(made))


async def _answer(body: CreateResponse, turn: RunningTurn, request: Request, service: ChatService) -> Response:
    logprobs = logprob_objects(service.tokenizer, await collect(turn, request))
    extension = await extras(body, turn)
    return JsonReply(finished_response(turn.result, extension, logprobs), headers=turn_headers(turn))


async def _turn_request(
    body: CreateResponse, caller: Principal, service: ChatService, defaults: SamplingParams
) -> TurnRequest:
    options = template_options(body, service)
    sampling = body.sampling(defaults, body.max_output_tokens, body.num_logprobs)
    return TurnRequest(
        input=await given_items(body, caller, service),
        principal=caller,
        conversation_id=ConversationId(body.conversation_id) if body.conversation_id is not None else None,
        previous_response_id=TurnId(body.previous_response_id) if body.previous_response_id is not None else None,
        instructions=body.instructions or None,
        tools=definitions(body.offered),
        tool_rules=body.tool_rules,
        sampling=sampling,
        reuse=body.reuse_mode,
        tokens=body.tokens,
        prompt_end=body.prompt_end,
        truncates=body.truncation == "auto",
        stored=body.store is not False and not body.cache.prewarm,
        background=bool(body.background),
        keep_stopped=body.keep_stopped,
        lookback=body.wants_lookback,
        echo=body.echo(sampling, body.effort if options else None),
        template_options=options,
        cache=body.cache,
    )


@router.get("/{response_id}", responses=or_stream(answers(ResponseShape, 404)))
async def get(
    response_id: str,
    request: Request,
    service: Service,
    tenant: Tenant,
    background: InBackground,
    stream: bool = False,
    starting_after: int | None = None,
) -> Response:
    """With `stream` as the events that it came in, or would have, behind the one numbered `starting_after`."""
    later = Later(service, background, tenant, TurnId(response_id))
    if stream:
        return await later.events(request, starting_after)
    return JsonReply(await later.response(request))


@router.delete("/{response_id}", responses=answers(Deleted, 404, 409))
async def delete(response_id: str, service: Service, tenant: Tenant, background: InBackground) -> Response:
    was_told = background.forget(tenant, TurnId(response_id))
    try:
        await service.delete_response(tenant, TurnId(response_id))
    except NotFound:
        if not was_told:  # one that was cancelled is in no log
            raise
    return JsonReply({"id": response_id, "object": "response", "deleted": True})


@router.post("/{response_id}/cancel", responses=answers(ResponseShape, 404))
async def cancel(response_id: str, service: Service, tenant: Tenant, background: InBackground) -> Response:
    """Stops a running turn; its id is in the first event of its stream. Then its conversation takes the next one.

    Nothing of it is kept, unless it asked for that. Cancelled again, one in the background says the same again.
    """
    log = background.get(tenant, TurnId(response_id))
    if log and service.running.get(tenant, TurnId(response_id)) is None:
        await asyncio.wait([log.task])
        if log.response["status"] == "cancelled":
            return JsonReply(log.response)
    turn = await service.cancel(tenant, TurnId(response_id))
    if turn.is_to_be_committed:
        return JsonReply(finished_response(turn.result))
    return JsonReply({**running_response(turn), "status": "cancelled"})


@router.get(
    "/{response_id}/input_items",
    dependencies=[Depends(refuse_unknown_includes)],
    responses=answers(ItemPage, 404),
)
async def input_items(response_id: str, page: PageQuery, service: Service, tenant: Tenant) -> Response:
    """What this turn was given, not what was said before it."""
    turn = await service.response(tenant, TurnId(response_id))
    return JsonReply(page_of_items(turn.input, page))
