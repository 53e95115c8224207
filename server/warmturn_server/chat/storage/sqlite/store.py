"""The conversation store of a single server: one SQLite file, written ahead and synced before anybody is told."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....room import Room
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
    StoreFailed,
    VersionConflict,
    damaged,
)
from .connection import SealedConnection
from .full_disk import LEAST_ROOM_BYTES, held_room_is_used, state_gives_way
from .pruning import Pruning
from .queries import Queries
from .rows import conversation_row, record_row, turn_row
from .trouble import full


class SqliteStore:
    """One connection behind a lock. A turn is a few kilobytes and one sync, so callers hardly wait for each other."""

    def __init__(self, path: Path, secret: bytes = b"", room: Room | None = None) -> None:
        """`room`: on the disk of `path`, where state gives way for the log.

        With a `secret` nobody who can write the file can make it say something else. Raises StartRefused.
        """
        self.room = room or Room(path.parent)
        self._connection = SealedConnection(path, secret)
        self._queries = Queries(self._connection.database, self._connection.seal)
        self._pruning = Pruning(self._connection, self._queries)
        if self._connection.is_new:
            with self._connection.erasing():
                self._pruning.redact_all()

    def close(self) -> None:
        self._connection.close()

    def status(self) -> LogStatus:
        try:
            with self._connection.reading() as database:
                database.execute("SELECT 1 FROM conversation LIMIT 1").fetchone()
        except StoreFailed as error:
            return LogStatus("sqlite", False, None, str(error))
        settings = {"journal_mode": "wal", "synchronous": "full"}
        try:
            self.refuse_if_full(0)
        except StoreFailed as error:
            return LogStatus("sqlite", True, True, str(error), settings, writable=False)
        return LogStatus("sqlite", True, True, "a turn is synced to disk before it is acknowledged", settings)

    def refuse_if_full(self, num_bytes: int) -> None:
        if not self.room.make(LEAST_ROOM_BYTES + num_bytes):
            raise full(f"{self.room.free_bytes:,} bytes are free")
        self.room.hold()
        self._connection.try_again()

    @state_gives_way
    def create(self, conversation: Conversation, append: Append | None = None) -> None:
        with self._connection.writing() as database:
            _require_turn(database, conversation.tenant, conversation.head)
            self._connection.insert("conversation", conversation_row(conversation))
            if append:
                self._append(database, conversation.tenant, append)

    @state_gives_way
    def take_in(self, conversation: Conversation, appends: Sequence[Append]) -> None:
        with self._connection.writing() as database:
            if self._queries.conversation(conversation.tenant, conversation.id):
                raise ConversationExists(conversation.id)
            for append in appends:
                self._append(database, conversation.tenant, append)
            self._connection.insert("conversation", conversation_row(conversation))

    def conversation(self, tenant: str, conversation_id: ConversationId) -> Conversation | None:
        with self._connection.reading():
            return self._queries.conversation(tenant, conversation_id)

    def open_conversation(self, tenant: str, conversation_id: ConversationId) -> Opened | None:
        with self._connection.reading():
            conversation = self._queries.conversation(tenant, conversation_id)
            if conversation is None:
                return None
            turns = self._queries.line_of_turns(tenant, conversation.head)
            if conversation.head and not turns:
                raise damaged("turn", conversation.head)
            answered = (turn.id for turn in reversed(turns) if turn.reply)
            lines = (self._queries.line_of_records(tenant, turn_id) for turn_id in answered)
            parts = next(filter(None, lines), [])
            beside = self._queries.records_based_on(tenant, parts[-1].turn_id, MOST_BESIDE) if parts else []
            return Opened(conversation, turns, parts, beside)

    def conversations(self, tenant: str, page: Page) -> list[Conversation]:
        newest_first = page.order == "desc"
        comparison, direction = ("<", "DESC") if newest_first else (">", "ASC")
        after = "SELECT seq FROM conversation WHERE tenant = :tenant AND id = :after"
        with self._connection.reading() as database:
            if page.after is not None and not self._queries.conversation(tenant, page.after):
                raise PageNotFound(page.after)
            rows = database.execute(
                f"SELECT * FROM conversation WHERE tenant = :tenant AND (:after IS NULL OR seq {comparison} ({after}))"
                f" ORDER BY seq {direction} LIMIT :limit",
                {"tenant": tenant, "after": page.after, "limit": page.limit},
            )
            return list(self._queries.readable(rows))

    @state_gives_way
    def set_metadata(
        self, tenant: str, conversation_id: ConversationId, metadata: Mapping[str, str]
    ) -> Conversation | None:
        with self._connection.writing():
            conversation = self._queries.conversation(tenant, conversation_id)
            return conversation and self._change(conversation, metadata=metadata)

    @held_room_is_used
    @state_gives_way
    def hide_item(
        self, tenant: str, conversation_id: ConversationId, item_id: ItemId, expected_version: int
    ) -> list[Forgotten]:
        with self._connection.erasing():
            conversation = self._expected(tenant, conversation_id, expected_version)
            hidden = conversation.hidden | {item_id}
            return self._pruning.redact(self._change(conversation, hidden=hidden, version=expected_version + 1))

    @state_gives_way
    def append(self, append: Append) -> None:
        with self._connection.writing() as database:
            self._append(database, append.turn.tenant, append)

    def turn(self, tenant: str, turn_id: TurnId) -> Turn | None:
        with self._connection.reading():
            return self._queries.turn(tenant, turn_id)

    def turns(self, tenant: str, turn_id: TurnId) -> list[Turn]:
        with self._connection.reading():
            return self._queries.line_of_turns(tenant, turn_id)

    def record_parts(self, tenant: str, turn_id: TurnId) -> list[RecordPart]:
        return self.record_lines(tenant, [turn_id])[0]

    def record_lines(self, tenant: str, turn_ids: Sequence[TurnId]) -> list[list[RecordPart]]:
        with self._connection.reading():
            return [self._queries.line_of_records(tenant, turn_id) for turn_id in turn_ids]

    def records_beginning(self, tenant: str, chain: Sequence[TextDigest], limit: int) -> list[TurnId]:
        with self._connection.reading():
            return self._queries.records_beginning(tenant, chain, limit)

    def records_based_on(self, tenant: str, turn_id: TurnId, limit: int) -> list[RecordPart]:
        with self._connection.reading():
            return self._queries.records_based_on(tenant, turn_id, limit)

    @held_room_is_used
    @state_gives_way
    def delete_conversation(self, tenant: str, conversation_id: ConversationId) -> list[Forgotten]:
        with self._connection.erasing() as database:
            whose = (tenant, conversation_id)
            deleted = database.execute("DELETE FROM conversation WHERE tenant = ? AND id = ? RETURNING head", whose)
            heads = [row["head"] for row in deleted.fetchall()]
            own = database.execute("SELECT * FROM turn WHERE tenant = ? AND conversation = ? ORDER BY seq DESC", whose)
            turns = own.fetchall() if heads else []
            for row in turns:
                self._connection.change("turn", row, stored=False, conversation=None)
            return self._pruning.collect(tenant, [row["id"] for row in turns] + [head for head in heads if head])

    @held_room_is_used
    @state_gives_way
    def withdraw(self, tenant: str, turn_id: TurnId) -> list[Forgotten]:
        with self._connection.erasing() as database:
            for row in database.execute("SELECT * FROM turn WHERE tenant = ? AND id = ?", (tenant, turn_id)).fetchall():
                self._connection.change("turn", row, stored=False)
            return self._pruning.collect(tenant, [turn_id])

    def _append(self, database: sqlite3.Connection, tenant: str, append: Append) -> None:
        known = database.execute("SELECT 1 FROM turn WHERE tenant = ? AND id = ?", (tenant, append.turn.id))
        if known.fetchone():  # a caller who does not know whether an append succeeded repeats it
            return
        _require_turn(database, tenant, append.turn.parent_id)
        record = append.record if append.record and self._can_be_read(tenant, append.record) else None
        self._connection.insert("turn", turn_row(append.turn, recorded=record is not None))
        if record:
            seq = self._connection.insert("record", record_row(record))
            database.executemany(
                "INSERT INTO beginning VALUES (?, ?)", [(digest, seq) for digest in append.prefix_digests]
            )
        if append.conversation:
            conversation = self._expected(tenant, append.conversation, append.expected_version)
            self._change(conversation, head=append.turn.id, version=append.expected_version + 1)

    def _expected(self, tenant: str, conversation_id: ConversationId, version: int) -> Conversation:
        conversation = self._queries.conversation(tenant, conversation_id)
        if conversation is None or conversation.version != version:
            raise VersionConflict("The conversation was changed or deleted meanwhile; ask for it again and repeat.")
        return conversation

    def _change(self, conversation: Conversation, **changes: Any) -> Conversation:
        changed = replace(conversation, updated_at=int(time.time()), **changes)
        self._connection.update("conversation", conversation_row(changed))
        return changed

    def _can_be_read(self, tenant: str, part: RecordPart) -> bool:
        """A record whose base is gone cannot be: it is not kept."""
        return part.base_id is None or self._queries.has_record(tenant, part.base_id)


def _require_turn(database: sqlite3.Connection, tenant: str, turn_id: TurnId | None) -> None:
    """What is built on must still be there when it is."""
    found = database.execute("SELECT 1 FROM turn WHERE tenant = ? AND id = ?", (tenant, turn_id))
    if turn_id is not None and not found.fetchone():
        raise VersionConflict("What this turn goes on from was deleted meanwhile.")
