"""Turns, records and conversations as rows of the SQLite store, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from sqlite3 import Row

from ...model import Conversation, ConversationId, Item, ItemId, Reply, Turn, TurnId, item_content, items_from
from ...transcript.records import RecordPart, packed, unpacked


def turn_row(turn: Turn, *, recorded: bool) -> dict[str, object]:
    return {
        "tenant": turn.tenant,
        "id": turn.id,
        "parent": turn.parent_id,
        "conversation": turn.conversation_id,
        "created_at": turn.created_at,
        "input": _dump_items(turn.input),
        "output": _dump_items(turn.output),
        "reply": json.dumps(asdict(turn.reply)) if turn.reply else None,
        "stored": turn.stored,
        "recorded": recorded,
    }


def turn_from(row: Row) -> Turn:
    return Turn(
        id=TurnId(row["id"]),
        parent_id=TurnId(row["parent"]) if row["parent"] else None,
        conversation_id=ConversationId(row["conversation"]) if row["conversation"] else None,
        created_at=row["created_at"],
        input=items_from(json.loads(row["input"])),
        output=items_from(json.loads(row["output"])),
        reply=Reply(**json.loads(row["reply"])) if row["reply"] else None,
        stored=bool(row["stored"]),
        tenant=row["tenant"],
    )


def record_row(part: RecordPart) -> dict[str, object]:
    return {
        "tenant": part.tenant,
        "id": part.turn_id,
        "base": part.base_id,
        "kept_tokens": part.kept_tokens,
        "token_ids": packed(part.token_ids),
        "ends": packed(part.ends),
        "text": part.text,
        "vocabulary": part.vocabulary,
    }


def record_from(row: Row) -> RecordPart:
    return RecordPart(
        turn_id=TurnId(row["id"]),
        base_id=TurnId(row["base"]) if row["base"] else None,
        kept_tokens=row["kept_tokens"],
        token_ids=unpacked(row["token_ids"]),
        ends=unpacked(row["ends"]),
        text=row["text"],
        vocabulary=row["vocabulary"],
        tenant=row["tenant"],
    )


def conversation_row(conversation: Conversation) -> dict[str, object]:
    return {
        "tenant": conversation.tenant,
        "id": conversation.id,
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
        "metadata": json.dumps(dict(conversation.metadata)),
        "head": conversation.head,
        "version": conversation.version,
        "hidden": json.dumps(sorted(conversation.hidden)),
    }


def conversation_from(row: Row) -> Conversation:
    return Conversation(
        id=ConversationId(row["id"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        metadata=json.loads(row["metadata"]),
        head=TurnId(row["head"]) if row["head"] else None,
        version=row["version"],
        hidden=frozenset(ItemId(item_id) for item_id in json.loads(row["hidden"])),
        tenant=row["tenant"],
    )


def _dump_items(items: Iterable[Item]) -> str:
    return json.dumps([item_content(item) for item in items])
