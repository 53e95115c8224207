"""What a turn is given, with the items that it only refers to."""

from __future__ import annotations

from collections.abc import Sequence

from ...chat import ChatService, ConversationId, Item, Part, Principal, Reasoning, Text, ToolCall
from ...errors import NotFound
from ..items import call_item_id, number_of, owner_of, reasoning_id
from ..messages import as_items, references_in
from .body import CreateResponse


async def given_items(body: CreateResponse, caller: Principal, service: ChatService) -> tuple[Item, ...]:
    """Raises `NotFound` for a reference to what is not here, or not for this caller."""
    wanted = references_in(body.input)
    if not wanted:
        return as_items(body.input)
    place = ConversationId(body.conversation_id) if body.conversation_id else None
    owners = [owner_of(shown_id) for shown_id in wanted]
    found = {item.id: item for item in await service.find_items(caller.tenant, owners, place)}
    missing = (shown_id for shown_id, owner in zip(wanted, owners, strict=True) if owner not in found)
    if shown_id := next(missing, None):
        raise _not_found(shown_id)
    referred = {shown_id: _parts(found[owner], shown_id) for shown_id, owner in zip(wanted, owners, strict=True)}
    return as_items(body.input, referred)


def _parts(item: Item, shown_id: str) -> tuple[Part, ...]:
    """Those that are shown under this id."""
    if item.results:
        return item.content
    parts: Sequence[Part] = [part for part in item.content if _shown_as(item, part) == shown_id]
    if not parts:
        raise _not_found(shown_id)
    return tuple(parts)


def _shown_as(item: Item, part: Part) -> str:
    if isinstance(part, ToolCall):
        return call_item_id(item.id, number_of(item, part))
    return reasoning_id(item.id) if isinstance(part, Reasoning) else item.id if isinstance(part, Text) else ""


def _not_found(shown_id: str) -> NotFound:
    return NotFound(
        f"Item with id '{shown_id}' not found. Replies are kept with store: true only; give the item itself.",
        code="item_not_found",
        param="input",
    )
