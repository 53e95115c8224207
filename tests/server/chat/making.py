"""Turns, records and conversations, made in one line each."""

from itertools import count

from warmturn_server.chat import Append, Conversation, ConversationId, Item, ItemId, Reply, Text, Turn, TurnId
from warmturn_server.chat.transcript.prefix_digests import own_prefix_digests, prefix_digests
from warmturn_server.chat.transcript.records import RecordPart

VOCABULARY = "tokenizer-1"
_numbers = count()


def item(role: str, text: str) -> Item:
    return Item(ItemId(f"msg_{next(_numbers)}"), role, (Text(text),))  # type: ignore[arg-type]


def conversation(name: str, tenant: str = "", metadata: dict[str, str] | None = None) -> Conversation:
    return Conversation(ConversationId(name), created_at=1, updated_at=1, metadata=metadata or {}, tenant=tenant)


def turn(
    name: str,
    parent: str | None = None,
    *,
    conversation: str | None = None,
    stored: bool = True,
    tenant: str = "",
    said: tuple[str, str] = ("hello", "hi"),
) -> Turn:
    return Turn(
        id=TurnId(name),
        parent_id=TurnId(parent) if parent else None,
        conversation_id=ConversationId(conversation) if conversation else None,
        created_at=1,
        input=(item("user", said[0]),),
        output=(item("assistant", said[1]),),
        reply=Reply("model", "stop", 2, 3, {"prompt_tokens": 4, "miss": None}, "be good", {"metadata": {"a": "b"}}),
        stored=stored,
        tenant=tenant,
    )


def record(name: str, text: str, base: str | None = None, kept: int = 0, tenant: str = "") -> RecordPart:
    """One token a character."""
    return RecordPart(
        turn_id=TurnId(name),
        base_id=TurnId(base) if base else None,
        kept_tokens=kept,
        token_ids=tuple(ord(character) for character in text),
        ends=tuple(range(1, len(text) + 1)),
        text=text,
        vocabulary=VOCABULARY,
        tenant=tenant,
    )


def append(turn: Turn, record: RecordPart | None = None, version: int = 0) -> Append:
    return Append(turn, record, conversation=turn.conversation_id, expected_version=version)


def findable(part: RecordPart, whole_text: str | None = None) -> Append:
    """A response with a record that is found by its text. `whole_text`: with what it inherits from its base."""
    text = whole_text or part.text
    chain = prefix_digests(text, part.tenant, part.vocabulary)
    digests = own_prefix_digests(chain, len(text) - len(part.text))
    return Append(turn(part.turn_id, part.base_id, tenant=part.tenant), part, prefix_digests=digests)
