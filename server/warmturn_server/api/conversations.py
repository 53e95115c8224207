"""`/v1/conversations` and their items. Listing, forking and prefetching them is ours; the rest is OpenAI's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from ..chat import ChatService, Conversation, ConversationId, Item, Principal, Text, Turn, TurnRequest
from ..errors import InvalidRequest
from .caller import Caller, Service, Tenant, repeatable_id
from .field_types import LongText, Metadata, ShortText
from .fields.bodies import CONVERSATION, FORK, ITEMS, METADATA, PIN, WARM
from .items import find_shown, item_objects, owner_of, shown_ids
from .json import Json, JsonReply
from .messages import InputMessage, Messages, as_items, references_in
from .openapi import answers
from .pages import PageQuery, page_object, page_of, page_of_items
from .reply import refuse_unknown_includes
from .responses.background import InBackground
from .shapes import ConversationPage, ConversationShape, Deleted, ItemPage, ItemShape, TurnPage, Warmed
from .thinking import template_options
from .wire import Body, ThinkingFields

router = APIRouter(prefix="/v1/conversations", tags=["conversations"], dependencies=[Depends(refuse_unknown_includes)])

_GO_ON = {
    f"conversations_{name}": "conversation_id" for name in ("get", "update", "items", "add_items", "turns", "delete")
}

FewMessages = Annotated[list[InputMessage], Field(max_length=20)]


class CreateConversation(Body):
    fields_of: ClassVar = CONVERSATION

    items: FewMessages | None = None
    metadata: Metadata | None = None


class UpdateConversation(Body):
    """Metadata may be null, which removes it, but not left out: that would remove it as well."""

    fields_of: ClassVar = METADATA

    metadata: Metadata | None


class CreateItems(Body):
    fields_of: ClassVar = ITEMS

    items: Annotated[list[InputMessage], Field(min_length=1, max_length=20)]


class ForkConversation(Body):
    """`item_id`: the last item that the fork has; all of them if left out. Metadata is the origin's if left out."""

    fields_of: ClassVar = FORK

    item_id: ShortText | None = None
    metadata: Metadata | None = None


class WarmConversation(ThinkingFields):
    """`input`: what the next turn will say, as far as it is typed; the last message is not whole yet.

    The other fields are the next turn's too, where it has them.
    """

    fields_of: ClassVar = WARM

    input: LongText | Messages | None = None
    instructions: LongText | None = None


class PinConversation(Body):
    """`ttl`: how long the state is to stay at least, as `45s`, `30m`, `12h` or `7d`."""

    fields_of: ClassVar = PIN

    ttl: Annotated[str, Field(pattern="^[1-9][0-9]{0,5}[smhd]$")]

    @property
    def seconds(self) -> int:
        return int(self.ttl[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[self.ttl[-1]]


def conversation_object(conversation: Conversation, service: ChatService) -> Json:
    """`pin`: of its state, if there is one on this server."""
    pin = service.pins.of(conversation.id)
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
        "metadata": dict(conversation.metadata),
        "pin": pin and {"until": int(pin.until), "tokens": pin.num_tokens, "bytes": pin.num_bytes, "kept": pin.is_kept},
    }


def turn_object(turn: Turn) -> Json:
    """How an answer came about; `id` is the response's, `items` name what was said."""
    assert turn.reply is not None, "only answered turns are shown"
    return {
        "id": turn.id,
        "object": "conversation.turn",
        "created_at": turn.created_at,
        "items": shown_ids(turn.items),
        "warmturn": dict(turn.reply.report),
    }


@router.post("", responses=answers(ConversationShape, links=_GO_ON))
async def create(
    request: Request, service: Service, tenant: Tenant, body: CreateConversation | None = None
) -> Response:
    body = body or CreateConversation()
    items = _unpromised(_whole_items(body.items or ()))
    known = repeatable_id(request, "conv_")
    named = ConversationId(known) if known else None
    return _reply(await service.conversations.create(tenant, items, body.metadata or {}, named), service)


@router.get("", responses=answers(ConversationPage))
async def listing(page: PageQuery, service: Service, tenant: Tenant) -> Response:
    """By time of creation."""
    found = await service.conversations.page(tenant, page)
    shown = [conversation_object(conversation, service) for conversation in found[: page.limit]]
    return JsonReply(page_object(shown, has_more=len(found) > page.limit))


@router.get("/{conversation_id}", responses=answers(ConversationShape, 404))
async def get(conversation_id: str, service: Service, tenant: Tenant) -> Response:
    return _reply(await service.conversations.get(tenant, ConversationId(conversation_id)), service)


@router.post("/{conversation_id}", responses=answers(ConversationShape, 404))
async def update(conversation_id: str, body: UpdateConversation, service: Service, tenant: Tenant) -> Response:
    """The metadata given replaces what was there."""
    changed = service.conversations.set_metadata(tenant, ConversationId(conversation_id), body.metadata or {})
    return _reply(await changed, service)


@router.delete("/{conversation_id}", responses=answers(Deleted, 404, 409))
async def delete(conversation_id: str, service: Service, tenant: Tenant, background: InBackground) -> Response:
    background.forget_conversation(tenant, ConversationId(conversation_id))
    await service.conversations.delete(tenant, ConversationId(conversation_id))
    return JsonReply({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


@router.post("/{conversation_id}/fork", responses=answers(ConversationShape, 404, links=_GO_ON))
async def fork(
    conversation_id: str, service: Service, tenant: Tenant, body: ForkConversation | None = None
) -> Response:
    body = body or ForkConversation()
    item_id = owner_of(body.item_id) if body.item_id is not None else None
    made = service.conversations.fork(tenant, ConversationId(conversation_id), item_id, body.metadata)
    return _reply(await made, service)


@router.post("/{conversation_id}/pin", responses=answers(ConversationShape, 404, 409, 429))
async def pin(conversation_id: str, body: PinConversation, service: Service, tenant: Tenant) -> Response:
    """Answers when its state is where it will stay for that long; what of it is saved nowhere is computed again."""
    return _reply(await service.pins.pin(tenant, ConversationId(conversation_id), body.seconds), service)


@router.delete("/{conversation_id}/pin", responses=answers(ConversationShape, 404))
async def unpin(conversation_id: str, service: Service, tenant: Tenant) -> Response:
    """Its state may leave as any other. One that is not pinned stays so."""
    return _reply(await service.pins.release(tenant, ConversationId(conversation_id)), service)


@router.post("/{conversation_id}/warm", responses=answers(Warmed, 404))
async def warm(
    conversation_id: str, service: Service, caller: Caller, body: WarmConversation | None = None
) -> Response:
    """Answers at once; `tokens_by_tier` says where the state was, null when that takes longer to find out.

    With `input`, what the user has typed so far, the beginning of the next prompt is computed while nobody waits for
    anything. It is kept in memory alone, until it is sent, typed otherwise, or nothing is heard of it.
    """
    place = ConversationId(conversation_id)
    if body is not None and body.input is not None:
        return _warmed(place, *await _typed(body, place, service, caller))
    prefetch = await service.conversations.prefetch(caller.tenant, place)
    return _warmed(place, prefetch.status, prefetch.num_tokens, prefetch.tokens_by_tier)


async def _typed(
    body: WarmConversation, place: ConversationId, service: ChatService, caller: Principal
) -> tuple[str, int | None]:
    if not service.ahead.takes_typing:
        raise InvalidRequest(
            "This server prepares nothing that is typed: leave the input out.", code="unsupported_value", param="input"
        )
    if references_in(body.input or ()):
        raise InvalidRequest("What is typed is no item_reference: give the text.", param="input")
    input_items = as_items(body.input or ())
    if not any(item.text.strip() for item in input_items):
        service.engine.abandon(caller.tenant, place)
        return "abandoned", 0
    if input_items[-1].role != "user":
        raise InvalidRequest("The last message is the one that the user is writing.", param="input")
    request = TurnRequest(
        input=input_items,
        principal=caller,
        conversation_id=place,
        instructions=body.instructions or None,
        template_options=template_options(body, service),
    )
    num_tokens = await service.typed(request)
    return ("skipped", None) if num_tokens is None else ("preparing", num_tokens)


def _warmed(
    place: ConversationId, status: str, num_tokens: int | None, tokens_by_tier: dict[str, int] | None = None
) -> Response:
    told = {"status": status, "tokens": num_tokens, "tokens_by_tier": tokens_by_tier}
    return JsonReply({"id": place, "object": "conversation.warmed", **told})


@router.post("/{conversation_id}/items", responses=answers(ItemPage, 404, 409))
async def add_items(conversation_id: str, body: CreateItems, service: Service, tenant: Tenant) -> Response:
    items = _unpromised(_whole_items(body.items))
    await service.conversations.add_items(tenant, ConversationId(conversation_id), items)
    return JsonReply(page_object([shown for item in items for shown in item_objects(item)], has_more=False))


@router.get("/{conversation_id}/items", responses=answers(ItemPage, 404))
async def items(conversation_id: str, page: PageQuery, service: Service, tenant: Tenant) -> Response:
    return JsonReply(page_of_items(await service.conversations.items(tenant, ConversationId(conversation_id)), page))


@router.get("/{conversation_id}/turns", responses=answers(TurnPage, 404))
async def turns(conversation_id: str, page: PageQuery, service: Service, tenant: Tenant) -> Response:
    """The reports of the conversation's turns, as they are in the log."""
    found = await service.conversations.turns(tenant, ConversationId(conversation_id))
    return JsonReply(page_of([turn_object(turn) for turn in found], page, "turn"))


@router.get("/{conversation_id}/items/{item_id}", responses=answers(ItemShape, 404))
async def item(conversation_id: str, item_id: str, service: Service, tenant: Tenant) -> Response:
    found = await service.conversations.items(tenant, ConversationId(conversation_id))
    return JsonReply(find_shown(found, item_id)[1])


@router.delete("/{conversation_id}/items/{item_id}", responses=answers(ConversationShape, 404, 409))
async def delete_item(
    conversation_id: str, item_id: str, service: Service, tenant: Tenant, background: InBackground
) -> Response:
    """Answers with the conversation, as OpenAI does. What was said and called in one reply is deleted together."""
    place, owner = ConversationId(conversation_id), owner_of(item_id)
    background.forget_conversation(tenant, place)
    return _reply(await service.conversations.delete_item(tenant, place, owner), service)


def _whole_items(given: Sequence[InputMessage]) -> tuple[Item, ...]:
    if references_in(given):
        raise InvalidRequest(
            "An item_reference is no item of a conversation: give the item itself.",
            code="unsupported_value",
            param="items",
        )
    return as_items(given)


def _reply(conversation: Conversation, service: ChatService) -> Response:
    return JsonReply(conversation_object(conversation, service))


def _unpromised(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Nothing is computed of items that are only added, so no lifetime can be promised of their state."""
    parts = (part for item in items for part in item.content if isinstance(part, Text))
    if any(part.mark and part.mark.ttl_seconds for part in parts):
        raise InvalidRequest(
            "items: a ttl can be promised with a turn only: mark what the turn brings, or pin the conversation.",
            code="unsupported_value",
            param="items",
        )
    return items
