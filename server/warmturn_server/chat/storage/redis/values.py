"""Turns, records and conversations as signed JSON, and back. Nothing that was not signed here is believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from ...model import Conversation, ConversationId, ItemId, Reply, Turn, TurnId, item_content, items_from
from ...transcript.records import RecordPart
from ..store import StoreFailed, damaged

FORMAT: Final = 1
MAX_VALUE_BYTES: Final = 64 * 2**20
_MARK: Final = b"w1."
_MAC_CHARS: Final = 44


class Signer:
    """HMAC-SHA256 over what a value is, whose, and what it says. Without a secret it still tells damage from data."""

    def __init__(self, secret: bytes = b"") -> None:
        self._key = hashlib.sha256(b"warmturn log 1\0" + secret).digest()

    def sign(self, kind: str, tenant: str, name: str, content: Mapping[str, object]) -> bytes:
        text = json.dumps(content, separators=(",", ":")).encode()
        if len(text) > MAX_VALUE_BYTES:
            raise StoreFailed(f"A turn of {len(text):,} bytes is too large for the log in Redis.")
        return _MARK + self._mac(kind, tenant, name, text) + b"." + text

    def read(self, kind: str, tenant: str, name: str, value: bytes | None) -> dict[str, Any]:
        """Raises StoreCorrupt."""
        head = len(_MARK) + _MAC_CHARS
        if value is None or not value.startswith(_MARK) or len(value) > MAX_VALUE_BYTES + head + 1:
            raise damaged(kind, name)
        mac, text = value[len(_MARK) : head], value[head + 1 :]
        if value[head : head + 1] != b"." or not hmac.compare_digest(mac, self._mac(kind, tenant, name, text)):
            raise damaged(kind, name)
        content: dict[str, Any] = json.loads(text)
        return content

    def _mac(self, kind: str, tenant: str, name: str, text: bytes) -> bytes:
        bound = json.dumps([kind, tenant, name]).encode() + b"\0" + text
        return base64.b64encode(hmac.digest(self._key, bound, "sha256"))


def turn_content(turn: Turn) -> dict[str, object]:
    return {
        "id": turn.id,
        "parent": turn.parent_id,
        "conversation": turn.conversation_id,
        "created_at": turn.created_at,
        "input": [item_content(item) for item in turn.input],
        "output": [item_content(item) for item in turn.output],
        "reply": asdict(turn.reply) if turn.reply else None,
    }


def turn_of(content: Mapping[str, Any], tenant: str, *, stored: bool, in_conversation: bool) -> Turn:
    """`stored` and `in_conversation` change in a turn's life, and are not signed."""
    conversation = content["conversation"] if in_conversation else None
    return Turn(
        id=TurnId(content["id"]),
        parent_id=TurnId(content["parent"]) if content["parent"] else None,
        conversation_id=ConversationId(conversation) if conversation else None,
        created_at=content["created_at"],
        input=items_from(content["input"]),
        output=items_from(content["output"]),
        reply=Reply(**content["reply"]) if content["reply"] else None,
        stored=stored,
        tenant=tenant,
    )


def record_content(part: RecordPart) -> dict[str, object]:
    return {
        "id": part.turn_id,
        "base": part.base_id,
        "kept_tokens": part.kept_tokens,
        "token_ids": part.token_ids,
        "ends": part.ends,
        "text": part.text,
        "vocabulary": part.vocabulary,
    }


def record_of(content: Mapping[str, Any], tenant: str) -> RecordPart:
    return RecordPart(
        turn_id=TurnId(content["id"]),
        base_id=TurnId(content["base"]) if content["base"] else None,
        kept_tokens=content["kept_tokens"],
        token_ids=tuple(content["token_ids"]),
        ends=tuple(content["ends"]),
        text=content["text"],
        vocabulary=content["vocabulary"],
        tenant=tenant,
    )


class ConversationValues:
    """A conversation in four signed fields: each is written by one kind of change, none has to be read for another."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def born(self, conversation: Conversation) -> bytes:
        return self._sign(conversation, "birth", {"created_at": conversation.created_at})

    def head(self, tenant: str, name: ConversationId, head: TurnId | None, version: int, now: int) -> bytes:
        return self._signer.sign("head", tenant, name, {"head": head, "version": version, "updated_at": now})

    def hidden(self, tenant: str, name: ConversationId, hidden: Sequence[ItemId], version: int, now: int) -> bytes:
        content = {"hidden": sorted(hidden), "version": version, "updated_at": now}
        return self._signer.sign("hidden", tenant, name, content)

    def metadata(self, tenant: str, name: ConversationId, metadata: Mapping[str, str], now: int) -> bytes:
        return self._signer.sign("metadata", tenant, name, {"metadata": dict(metadata), "updated_at": now})

    def read(self, tenant: str, name: ConversationId, fields: Sequence[bytes | None]) -> Conversation | None:
        """From the reply of a script: version, birth, head, hidden, metadata. None if there is none."""
        if all(field is None for field in fields):
            return None
        kinds = ("birth", "head", "hidden", "metadata")
        pairs = zip(kinds, fields[1:], strict=True)
        born, head, hidden, metadata = (self._signer.read(kind, tenant, name, field) for kind, field in pairs)
        version = max(head["version"], hidden["version"])
        if fields[0] != str(version).encode():
            raise damaged("version", name)
        return Conversation(
            id=name,
            created_at=born["created_at"],
            updated_at=max(part["updated_at"] for part in (head, hidden, metadata)),
            metadata=metadata["metadata"],
            head=TurnId(head["head"]) if head["head"] else None,
            version=version,
            hidden=frozenset(ItemId(item) for item in hidden["hidden"]),
            tenant=tenant,
        )

    def _sign(self, conversation: Conversation, kind: str, content: Mapping[str, object]) -> bytes:
        return self._signer.sign(kind, conversation.tenant, conversation.id, content)
