"""The conversation store of a single server: one SQLite file, written ahead and synced before anybody is told."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...model import Conversation, ConversationId, ItemId, Turn, TurnId
from ...transcript.prefix_digests import TextDigest
from ...transcript.records import RecordPart
from ..store import Append, Forgotten, LogStatus, Opened, Page, PageNotFound, StoreFailed, VersionConflict
from . import queries
from .pruning import Pruning
from .rows import conversation_from, conversation_row, record_from, record_row, turn_from, turn_row
from .schema import open_database


class SqliteStore:
    """One connection behind a lock. A turn is a few kilobytes and one sync, so callers hardly wait for each other."""

    def __init__(self, path: Path, *, max_unnamed_records: int = 10_000) -> None:
        """`max_unnamed_records`: how many turns of stateless clients are remembered; the oldest go first."""
        self._database = open_database(path)
        self._lock = threading.Lock()
        self._pruning = Pruning(self._database, max_unnamed_records)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def status(self) -> LogStatus:
        try:
            with self._reading() as database:
                database.execute("SELECT 1 FROM conversation LIMIT 1").fetchone()
        except StoreFailed as error:
            return LogStatus("sqlite", False, None, str(error))
        settings = {"journal_mode": "wal", "synchronous": "full"}
        return LogStatus("sqlite", True, True, "a turn is synced to disk before it is acknowledged", settings)

    def create(self, conversation: Conversation, append: Append | None = None) -> None:
        with self._writing() as database:
            _require_turn(database, conversation.tenant, conversation.head)
            _insert(database, "conversation", conversation_row(conversation))
            if append:
                self._append(database, conversation.tenant, append)

    def conversation(self, tenant: str, conversation_id: ConversationId) -> Conversation | None:
        with self._reading() as database:
            return queries.find_conversation(database, tenant, conversation_id)

    def open_conversation(self, tenant: str, conversation_id: ConversationId) -> Opened | None:
        with self._reading() as database:
            conversation = queries.find_conversation(database, tenant, conversation_id)
            if conversation is None:
                return None
            turns = queries.line_of_turns(database, tenant, conversation.head)
            lines = (queries.line_of_records(database, tenant, turn.id) for turn in reversed(turns))
            return Opened(conversation, turns, next(filter(None, lines), []))

    def conversations(self, tenant: str, page: Page) -> list[Conversation]:
        newest_first = page.order == "desc"
        comparison, direction = ("<", "DESC") if newest_first else (">", "ASC")
        after = "SELECT seq FROM conversation WHERE tenant = :tenant AND id = :after"
        with self._reading() as database:
            if page.after is not None and not queries.find_conversation(database, tenant, page.after):
                raise PageNotFound(page.after)
            rows = database.execute(
                f"SELECT * FROM conversation WHERE tenant = :tenant AND (:after IS NULL OR seq {comparison} ({after}))"
                f" ORDER BY seq {direction} LIMIT :limit",
                {"tenant": tenant, "after": page.after, "limit": page.limit},
            )
            return [conversation_from(row) for row in rows]

    def set_metadata(
        self, tenant: str, conversation_id: ConversationId, metadata: Mapping[str, str]
    ) -> Conversation | None:
        with self._writing() as database:
            database.execute(
                "UPDATE conversation SET metadata = ?, updated_at = ? WHERE tenant = ? AND id = ?",
                (json.dumps(dict(metadata)), int(time.time()), tenant, conversation_id),
            )
            return queries.find_conversation(database, tenant, conversation_id)

    def hide_item(self, tenant: str, conversation_id: ConversationId, item_id: ItemId, expected_version: int) -> None:
        with self._writing() as database:
            conversation = queries.find_conversation(database, tenant, conversation_id)
            hidden = sorted({*conversation.hidden, item_id}) if conversation else []
            _change(database, tenant, conversation_id, expected_version, "hidden", json.dumps(hidden))

    def append(self, append: Append) -> None:
        with self._writing() as database:
            named = append.turn or append.record
            if named:
                self._append(database, named.tenant, append)

    def turn(self, tenant: str, turn_id: TurnId) -> Turn | None:
        with self._reading() as database:
            row = database.execute("SELECT * FROM turn WHERE tenant = ? AND id = ?", (tenant, turn_id)).fetchone()
            return turn_from(row) if row else None

    def turns(self, tenant: str, turn_id: TurnId) -> list[Turn]:
        with self._reading() as database:
            return queries.line_of_turns(database, tenant, turn_id)

    def record_parts(self, tenant: str, turn_id: TurnId) -> list[RecordPart]:
        return self.record_lines(tenant, [turn_id])[0]

    def record_lines(self, tenant: str, turn_ids: Sequence[TurnId]) -> list[list[RecordPart]]:
        with self._reading() as database:
            return [queries.line_of_records(database, tenant, turn_id) for turn_id in turn_ids]

    def records_beginning(self, tenant: str, chain: Sequence[TextDigest], limit: int) -> list[TurnId]:
        with self._reading() as database:
            return queries.records_beginning(database, tenant, chain, limit)

    def records_based_on(self, tenant: str, turn_id: TurnId, limit: int) -> list[RecordPart]:
        with self._reading() as database:
            rows = database.execute(
                "SELECT * FROM record WHERE tenant = ? AND base = ? ORDER BY seq DESC LIMIT ?",
                (tenant, turn_id, limit),
            )
            return [record_from(row) for row in rows]

    def delete_conversation(self, tenant: str, conversation_id: ConversationId) -> list[Forgotten]:
        with self._writing() as database:
            conversation = queries.find_conversation(database, tenant, conversation_id)
            if not conversation:
                return []
            database.execute("DELETE FROM conversation WHERE tenant = ? AND id = ?", (tenant, conversation_id))
            own = database.execute(
                "SELECT id FROM turn WHERE tenant = ? AND conversation = ? ORDER BY seq DESC", (tenant, conversation_id)
            )
            leaves = [TurnId(row["id"]) for row in own] + ([conversation.head] if conversation.head else [])
            database.execute(
                "UPDATE turn SET stored = 0, conversation = NULL WHERE tenant = ? AND conversation = ?",
                (tenant, conversation_id),
            )
            return self._pruning.collect(tenant, leaves)

    def withdraw(self, tenant: str, turn_id: TurnId) -> list[Forgotten]:
        with self._writing() as database:
            database.execute("UPDATE turn SET stored = 0 WHERE tenant = ? AND id = ?", (tenant, turn_id))
            return self._pruning.collect(tenant, [turn_id])

    def _append(self, database: sqlite3.Connection, tenant: str, append: Append) -> None:
        if self._is_known(database, tenant, append):
            return
        if append.turn:
            _require_turn(database, tenant, append.turn.parent_id)
            _insert(database, "turn", turn_row(append.turn))
        if append.record and _can_be_read(database, tenant, append.record):
            seq = _insert(database, "record", record_row(append.record, named=append.turn is not None))
            database.executemany(
                "INSERT INTO beginning VALUES (?, ?)", [(digest, seq) for digest in append.prefix_digests]
            )
        if append.conversation and append.turn:
            _change(database, tenant, append.conversation, append.expected_version, "head", append.turn.id)
        if not append.turn:
            self._pruning.drop_oldest_unnamed()

    @staticmethod
    def _is_known(database: sqlite3.Connection, tenant: str, append: Append) -> bool:
        """So that a caller who does not know whether an append succeeded may repeat it."""
        table, turn_id = (
            ("turn", append.turn.id) if append.turn else ("record", append.record and append.record.turn_id)
        )
        found = database.execute(f"SELECT 1 FROM {table} WHERE tenant = ? AND id = ?", (tenant, turn_id))
        return found.fetchone() is not None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise StoreFailed(f"The conversation log cannot be read: {error}.") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                with self._database:
                    yield self._database
            except sqlite3.Error as error:
                raise StoreFailed(f"The conversation log cannot be written: {error}. Nothing was changed.") from error


def _change(
    database: sqlite3.Connection, tenant: str, conversation_id: str, expected_version: int, column: str, value: str
) -> None:
    changed = database.execute(
        f"UPDATE conversation SET {column} = ?, version = version + 1, updated_at = ?"
        " WHERE tenant = ? AND id = ? AND version = ?",
        (value, int(time.time()), tenant, conversation_id, expected_version),
    )
    if not changed.rowcount:
        raise VersionConflict("The conversation was changed or deleted meanwhile; ask for it again and repeat.")


def _require_turn(database: sqlite3.Connection, tenant: str, turn_id: TurnId | None) -> None:
    """What is built on must still be there when it is."""
    found = database.execute("SELECT 1 FROM turn WHERE tenant = ? AND id = ?", (tenant, turn_id))
    if turn_id is not None and not found.fetchone():
        raise VersionConflict("What this turn goes on from was deleted meanwhile.")


def _can_be_read(database: sqlite3.Connection, tenant: str, part: RecordPart) -> bool:
    """A record whose base is gone (a stateless client's, pruned meanwhile) cannot be: it is not kept."""
    return part.base_id is None or queries.has_record(database, tenant, part.base_id)


def _insert(database: sqlite3.Connection, table: str, row: Mapping[str, object]) -> int:
    columns = ", ".join(row)
    marks = ", ".join(f":{column}" for column in row)
    return database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", dict(row)).lastrowid or 0
