"""What was said before: the turns that a new one goes on from, as the log has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InvalidRequest, NotFound
from .model import (
    Conversation,
    ConversationId,
    Item,
    ItemId,
    Turn,
    TurnId,
    TurnRequest,
    visible_items,
    visible_turns,
)
from .storage.store import ConversationStore
from .transcript.records import RecordPart


@dataclass(frozen=True, slots=True)
class History:
    """`parts`: the record of the last turn that has one, where it was read along with the turns; `beside`: records that
    go on from it elsewhere.
    """

    turns: Sequence[Turn] = ()
    conversation: Conversation | None = None
    parts: Sequence[RecordPart] = ()
    beside: Sequence[RecordPart] = ()

    @property
    def hidden(self) -> frozenset[ItemId]:
        return self.conversation.hidden if self.conversation else frozenset()

    @property
    def visible(self) -> list[Turn]:
        return visible_turns(self.turns, self.hidden)

    @property
    def items(self) -> list[Item]:
        return visible_items(self.visible, self.hidden)

    @property
    def head(self) -> TurnId | None:
        visible = self.visible
        return visible[-1].id if visible else None


def history_before(request: TurnRequest, store: ConversationStore) -> History:
    """Raises `NotFound` and `InvalidRequest` where the log does not have what the request goes on from."""
    if request.conversation_id is None:
        return _history_of_response(request.tenant, request.previous_response_id, store)
    if request.previous_response_id is not None:
        raise InvalidRequest(
            "Give either conversation or previous_response_id, not both.",
            code="mutually_exclusive_parameters",
            param="previous_response_id",
        )
    return history_of(request.tenant, request.conversation_id, store)


def history_of(tenant: str, conversation_id: ConversationId, store: ConversationStore) -> History:
    opened = store.open_conversation(tenant, conversation_id)
    if opened is None:
        raise conversation_not_found(conversation_id)
    return History(opened.turns, opened.conversation, opened.parts, opened.beside)


def _history_of_response(tenant: str, response_id: TurnId | None, store: ConversationStore) -> History:
    if response_id is None:
        return History()
    turns = store.turns(tenant, response_id)
    if not turns or not turns[-1].stored:
        raise InvalidRequest(
            f"Previous response with id '{response_id}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return History(turns)


def find_conversation(store: ConversationStore, tenant: str, conversation_id: ConversationId) -> Conversation:
    conversation = store.conversation(tenant, conversation_id)
    if conversation is None:
        raise conversation_not_found(conversation_id)
    return conversation


def conversation_not_found(conversation_id: ConversationId) -> NotFound:
    return NotFound(f"Conversation with id '{conversation_id}' not found.", code="conversation_not_found")


def response_not_found(turn_id: TurnId) -> NotFound:
    return NotFound(f"Response with id '{turn_id}' not found.", code="response_not_found")


def find_item(items: Sequence[Item], item_id: str) -> Item:
    for item in items:
        if item.id == item_id:
            return item
    raise NotFound(f"Item with id '{item_id}' not found.", code="item_not_found")
