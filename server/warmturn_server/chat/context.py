"""Where a new turn stands in the tree: what was said before, and the ids of record that it goes on from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from ..engine_api import Rewrite
from ..errors import InvalidRequest, NotFound
from .lookback.attribution import Outline
from .model import (
    Conversation,
    ConversationId,
    Item,
    ItemId,
    Turn,
    TurnId,
    TurnRequest,
    as_messages,
    visible_items,
    visible_turns,
)
from .record_finder import Base, RecordFinder
from .storage.store import ConversationStore, Opened
from .transcript.records import RecordPart
from .transcript.rewrite import find_rewrite
from .transcript.transcript import Transcriber, Transcript


@dataclass(frozen=True, slots=True)
class TurnContext:
    parent_id: TurnId | None
    conversation: Conversation | None
    base_id: TurnId | None
    text: str
    transcript: Transcript
    rewrite: Rewrite | None
    """Where the template changed history; None where the user did, by deleting items or editing."""
    continues: bool
    """Whether a conversation goes on, with an id or sent again as a whole; a common beginning alone is not enough."""
    outline: Outline | None
    """Whose the prompt's tokens are; only for who asked what the reply looked at."""

    @property
    def known_tokens(self) -> int:
        """Prompt tokens whose state an earlier turn computed: all of its record but the last, which was only chosen."""
        return min(self.transcript.kept_tokens, max(self.transcript.record_tokens - 1, 0))


class ContextReader:
    """Reads the store and runs the template; takes milliseconds, so call it off the event loop."""

    def __init__(self, store: ConversationStore, transcriber: Transcriber) -> None:
        self._store = store
        self._transcriber = transcriber
        self._finder = RecordFinder(store, transcriber.tokenizer.vocabulary)

    def read(self, request: TurnRequest) -> TurnContext:
        opened = self._opened(request)
        conversation = opened.conversation if opened else None
        turns = opened.turns if opened else self._turns_before(request)
        hidden = conversation.hidden if conversation else frozenset()
        before = visible_turns(turns, hidden)
        items = [*visible_items(before, hidden), *request.input]
        if not items:
            raise InvalidRequest("There is nothing to answer: give an input.", param="input")
        render = partial(self._transcriber.render, tools=request.tools)
        text = render(as_messages(request.instructions, items))
        base, own = self._base(request.tenant, before, text, opened.parts if opened else [])
        transcript = self._transcriber.transcribe(text, base.record)
        outline = None
        if request.lookback:
            outline = Outline.of(text, transcript.ends, request.instructions, items, render)
        edited = own is None or _edited(request, own, base, turns, hidden)
        return TurnContext(
            parent_id=before[-1].id if before else None,
            conversation=conversation,
            base_id=base.turn_id,
            text=text,
            transcript=transcript,
            rewrite=None if edited else find_rewrite(base.record, text, transcript, self._transcriber.tokenizer),
            continues=base.turn_id is not None and (own is not None or transcript.rewritten_at is None),
            outline=outline,
        )

    def computed_ids(self, tenant: str, conversation_id: ConversationId) -> tuple[int, ...]:
        """The ids that a next turn goes on from, as far as their state was computed: all but the last one chosen."""
        opened = self._open(tenant, conversation_id)
        for turn in reversed(visible_turns(opened.turns, opened.conversation.hidden)):
            if turn.reply:
                return self._record(tenant, turn, opened.parts).record.token_ids[:-1]
        return ()

    def _base(self, tenant: str, before: list[Turn], text: str, read: list[RecordPart]) -> tuple[Base, Turn | None]:
        """The record of the conversation's last turn that has one, and that turn; else one found by text.

        `read`: one that was read along with the turns.
        """
        for turn in reversed(before):
            if turn.reply:
                base = self._record(tenant, turn, read)
                if base.turn_id:
                    return base, turn
        return self._finder.of_text(tenant, text), None

    def _opened(self, request: TurnRequest) -> Opened | None:
        if request.conversation_id is None:
            return None
        if request.previous_response_id is not None:
            raise InvalidRequest(
                "Give either conversation or previous_response_id, not both.",
                code="mutually_exclusive_parameters",
                param="previous_response_id",
            )
        return self._open(request.tenant, request.conversation_id)

    def _open(self, tenant: str, conversation_id: ConversationId) -> Opened:
        opened = self._store.open_conversation(tenant, conversation_id)
        if opened is None:
            raise conversation_not_found(conversation_id)
        return opened

    def _record(self, tenant: str, turn: Turn, read: list[RecordPart]) -> Base:
        is_read = bool(read) and read[-1].turn_id == turn.id
        return self._finder.of_parts(read) if is_read else self._finder.of_turn(tenant, turn.id)

    def _turns_before(self, request: TurnRequest) -> list[Turn]:
        if request.previous_response_id is None:
            return []
        turns = self._store.turns(request.tenant, request.previous_response_id)
        if not turns or not turns[-1].stored:
            raise InvalidRequest(
                f"Previous response with id '{request.previous_response_id}' not found.",
                code="previous_response_not_found",
                param="previous_response_id",
            )
        return turns


def _edited(request: TurnRequest, own: Turn, base: Base, turns: list[Turn], hidden: Collection[ItemId]) -> bool:
    """Whether it is the user who changed what the turn `own` saw: instructions, or items deleted since."""
    before = own.reply.instructions if own.reply else None
    if (before or None) != (request.instructions or None):
        return True
    return any(item.id in hidden and item.text.strip() in base.record.text for turn in turns for item in turn.items)


def find_conversation(store: ConversationStore, tenant: str, conversation_id: ConversationId) -> Conversation:
    conversation = store.conversation(tenant, conversation_id)
    if conversation is None:
        raise conversation_not_found(conversation_id)
    return conversation


def conversation_not_found(conversation_id: ConversationId) -> NotFound:
    return NotFound(f"Conversation with id '{conversation_id}' not found.", code="conversation_not_found")


def find_item(items: list[Item], item_id: str) -> Item:
    for item in items:
        if item.id == item_id:
            return item
    raise NotFound(f"Item with id '{item_id}' not found.", code="item_not_found")
