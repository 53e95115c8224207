"""The conversation store of several servers: one Redis, each change one script, every value signed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import redis

from ...model import Conversation, ConversationId, ItemId, Turn, TurnId
from ...transcript.prefix_digests import TextDigest
from ...transcript.records import RecordPart
from ..store import (
    MOST_BESIDE,
    Append,
    ConversationExists,
    Forgotten,
    LogStatus,
    Opened,
    Page,
    PageNotFound,
    StoreCorrupt,
    StoreFailed,
)
from .redaction import RedisRedaction
from .removal import RedisRemoval
from .replies import Replies, line_of_records, refuse_unless_done
from .scripts import Argument, Reply, Script, ScriptRunner
from .values import ConversationValues, Signer, record_content, turn_content

_DIGESTS_A_QUERY: Final = 500
_log = logging.getLogger(__name__)

_CREATE: Final = Script("create")
_TAKE_IN: Final = Script("take_in")
_APPEND: Final = Script("append")
_HIDE: Final = Script("hide")
_DESCRIBE: Final = Script("describe")
_GET: Final = Script("get")
_PAGE: Final = Script("page")
_OPEN: Final = Script("open")
_TURN: Final = Script("turn")
_TURNS: Final = Script("turns")
_RECORDS: Final = Script("records")
_FIND: Final = Script("find")
_BASED: Final = Script("based")
_ROOM: Final = Script("room")


class RedisStore:
    def __init__(self, scripts: ScriptRunner, signer: Signer) -> None:
        self._scripts = scripts
        self._signer = signer
        self._values = ConversationValues(signer)
        self._replies = Replies(signer)
        self._redaction = RedisRedaction(scripts, signer, self._replies)
        self._removal = RedisRemoval(scripts, self._values, self._replies, self._redaction)

    def close(self) -> None:
        self._scripts.close()

    def status(self) -> LogStatus:
        """What Redis promises is asked anew each time: it may be another one by now, or have another configuration."""
        try:
            durability = self._scripts.durability()
        except redis.RedisError as error:
            return LogStatus("redis", False, None, f"Redis does not answer: {error}")
        durable, why = durability.verdict
        try:
            self.refuse_if_full(0)
        except StoreFailed as error:
            return LogStatus("redis", True, durable, str(error), durability.as_dict(), writable=False)
        return LogStatus("redis", True, durable, why, durability.as_dict())

    def refuse_if_full(self, num_bytes: int) -> None:  # noqa: ARG002  # how much is left only writing tells
        """Once nothing more went in, it is tried before each turn until it does."""
        if self._scripts.full:
            self._scripts.write(_ROOM, "")

    def create(self, conversation: Conversation, append: Append | None = None) -> None:
        tenant = conversation.tenant
        turn = self._append_arguments(tenant, append) if append else []
        created = [*self._create_arguments(conversation), int(bool(append)), *turn]
        refuse_unless_done(self._scripts.write(_CREATE, tenant, *created))

    def take_in(self, conversation: Conversation, appends: Sequence[Append]) -> None:
        tenant = conversation.tenant
        turns = [argument for append in appends for argument in self._append_arguments(tenant, append)]
        taken = [*self._create_arguments(conversation), len(appends), *turns]
        reply = self._scripts.write(_TAKE_IN, tenant, *taken)
        if reply[0] == b"exists":
            raise ConversationExists(conversation.id)
        refuse_unless_done(reply)

    def conversation(self, tenant: str, conversation_id: ConversationId) -> Conversation | None:
        return self._values.read(tenant, conversation_id, self._scripts.read(_GET, tenant, conversation_id))

    def conversations(self, tenant: str, page: Page) -> list[Conversation]:
        found: list[Conversation] = []
        after = page.after or ""
        while len(found) < page.limit:
            wanted = page.limit - len(found)
            rows = self._scripts.read(_PAGE, tenant, after, int(page.order == "desc"), wanted)
            if rows is None:
                raise PageNotFound(after)
            found += self._readable(tenant, rows)
            if len(rows) < wanted:
                break
            after = rows[-1][0].decode()
        return found

    def _readable(self, tenant: str, rows: Reply) -> Iterator[Conversation]:
        """A list goes on without the ones that are damaged; asked for by name, they say so."""
        for name, fields in rows:
            try:
                conversation = self._values.read(tenant, ConversationId(name.decode()), fields)
            except StoreCorrupt as error:
                _log.error("left out of a list: %s", error)
            else:
                if conversation:
                    yield conversation

    def set_metadata(
        self, tenant: str, conversation_id: ConversationId, metadata: Mapping[str, str]
    ) -> Conversation | None:
        value = self._values.metadata(tenant, conversation_id, metadata, int(time.time()))
        _, fields = self._scripts.write(_DESCRIBE, tenant, conversation_id, value)
        return self._values.read(tenant, conversation_id, fields)

    def hide_item(
        self, tenant: str, conversation_id: ConversationId, item_id: ItemId, expected_version: int
    ) -> list[Forgotten]:
        conversation = self.conversation(tenant, conversation_id)
        hidden = sorted({*conversation.hidden, item_id}) if conversation else []
        value = self._values.hidden(tenant, conversation_id, hidden, expected_version + 1, int(time.time()))
        refuse_unless_done(self._scripts.write(_HIDE, tenant, conversation_id, expected_version, value))
        hiding = self.conversation(tenant, conversation_id)
        return self._redaction.of(hiding) if hiding else []

    def append(self, append: Append) -> None:
        tenant = append.turn.tenant
        refuse_unless_done(self._scripts.write(_APPEND, tenant, *self._append_arguments(tenant, append)))

    def turn(self, tenant: str, turn_id: TurnId) -> Turn | None:
        found = self._scripts.read(_TURN, tenant, turn_id)
        return self._replies.turn(tenant, [turn_id.encode(), *found]) if found[0] is not None else None

    def turns(self, tenant: str, turn_id: TurnId) -> list[Turn]:
        return self._replies.line_of_turns(tenant, turn_id, self._scripts.read(_TURNS, tenant, turn_id))

    def open_conversation(self, tenant: str, conversation_id: ConversationId) -> Opened | None:
        fields, rows, parts, beside = self._scripts.read(_OPEN, tenant, conversation_id, MOST_BESIDE)
        conversation = self._values.read(tenant, conversation_id, fields)
        if conversation is None:
            return None
        turns = self._replies.line_of_turns(tenant, conversation.head, rows)
        if conversation.head and not turns:
            raise StoreCorrupt(f"The last turn of '{conversation_id}' is not in the conversation log.")
        known = self._replies.parts(tenant, parts)
        line = line_of_records(known, TurnId(parts[0][0].decode())) if parts else []
        return Opened(conversation, turns, line, self._replies.readable_parts(tenant, beside))

    def record_parts(self, tenant: str, turn_id: TurnId) -> list[RecordPart]:
        return self.record_lines(tenant, [turn_id])[0]

    def record_lines(self, tenant: str, turn_ids: Sequence[TurnId]) -> list[list[RecordPart]]:
        if not turn_ids:
            return []
        known = self._replies.parts(tenant, self._scripts.read(_RECORDS, tenant, *turn_ids))
        return [line_of_records(known, turn_id) for turn_id in turn_ids]

    def records_beginning(self, tenant: str, chain: Sequence[TextDigest], limit: int) -> list[TurnId]:
        for end in range(len(chain), 0, -_DIGESTS_A_QUERY):
            asked = b"".join(chain[max(0, end - _DIGESTS_A_QUERY) : end])
            if found := self._scripts.read(_FIND, tenant, limit, asked):
                return [TurnId(name.decode()) for name in found]
        return []

    def records_based_on(self, tenant: str, turn_id: TurnId, limit: int) -> list[RecordPart]:
        return list(self._replies.parts(tenant, self._scripts.read(_BASED, tenant, turn_id, limit)).values())

    def delete_conversation(self, tenant: str, conversation_id: ConversationId) -> list[Forgotten]:
        return self._removal.of_conversation(tenant, conversation_id)

    def withdraw(self, tenant: str, turn_id: TurnId) -> list[Forgotten]:
        return self._removal.of_response(tenant, turn_id)

    def purge(self, tenant: str) -> None:
        """Remove what an earlier version kept and this one would not. Raises StoreFailed."""
        self._removal.purge(tenant)

    def _create_arguments(self, conversation: Conversation) -> list[Argument]:
        tenant, name, now = conversation.tenant, conversation.id, conversation.updated_at
        return [
            name,
            conversation.version,
            conversation.head or "",
            self._values.born(conversation),
            self._values.head(tenant, name, conversation.head, conversation.version, now),
            self._values.hidden(tenant, name, list(conversation.hidden), conversation.version, now),
            self._values.metadata(tenant, name, conversation.metadata, now),
        ]

    def _append_arguments(self, tenant: str, append: Append) -> list[Argument]:
        """In the order of `read_append`."""
        turn, record, lease = append.turn, append.record, append.lease
        name, version = append.conversation, append.expected_version
        head = self._values.head(tenant, name, turn.id, version + 1, int(time.time())) if name else b""
        return [
            name or "",
            version,
            head,
            lease.token if lease else "",
            lease.fence if lease else 0,
            turn.id,
            self._signer.sign("turn", tenant, turn.id, turn_content(turn)),
            turn.parent_id or "",
            turn.conversation_id or "",
            int(turn.stored),
            record.turn_id if record else "",
            self._signer.sign("record", tenant, record.turn_id, record_content(record)) if record else b"",
            (record.base_id if record else None) or "",
            b"".join(append.prefix_digests),
        ]
