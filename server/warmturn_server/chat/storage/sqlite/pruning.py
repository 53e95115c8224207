"""What is removed from the SQLite store: turns and records to which no way leads any more."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from functools import partial

from ...model import Conversation, TurnId
from ...transcript.records import RecordPart
from ..store import Forgotten, StoreCorrupt, forgotten
from .connection import SealedConnection
from .queries import Queries, way_up
from .redaction import Redaction

_log = logging.getLogger(__name__)


class Pruning:
    """Works inside a transaction of the store, with its lock held."""

    def __init__(self, connection: SealedConnection, queries: Queries) -> None:
        self._database = connection.database
        self._queries = queries
        self._redaction = Redaction(connection, queries)

    def collect(self, tenant: str, leaves: Sequence[TurnId]) -> list[Forgotten]:
        """Removes each of `leaves` that nobody reaches, then its parents while nobody reaches them either."""
        lines: dict[TurnId, list[RecordPart]] = {}
        roots = {self._root(tenant, turn_id) for turn_id in leaves}
        waiting = list(reversed(leaves))
        while waiting:
            turn_id = waiting.pop()
            if self._is_reached(tenant, turn_id):
                continue
            row = self._delete_turn(tenant, turn_id)
            if row and row["parent"]:
                waiting.append(TurnId(row["parent"]))
            self._collect_record(tenant, turn_id, lines)
        gone = [forgotten(parts, partial(self._queries.has_record, tenant)) for parts in lines.values()]
        return gone + [entry for root in roots for entry in self._redaction.of_tree(tenant, root)]

    def redact(self, conversation: Conversation) -> list[Forgotten]:
        """Removes what the conversation hides and nobody shows."""
        return self._redaction.of(conversation)

    def redact_all(self) -> None:
        self._redaction.of_all()

    def _root(self, tenant: str, turn_id: TurnId) -> TurnId:
        row = self._database.execute(
            f"{way_up('turn', 'parent')} SELECT id FROM line WHERE up IS NULL OR up NOT IN (SELECT id FROM line)",
            {"tenant": tenant, "id": turn_id},
        ).fetchone()
        return TurnId(row["id"]) if row else turn_id

    def _is_reached(self, tenant: str, turn_id: TurnId) -> bool:
        (reached,) = self._database.execute(
            """SELECT EXISTS (SELECT 1 FROM turn WHERE tenant = :tenant AND id = :id AND stored)
                   OR EXISTS (SELECT 1 FROM turn WHERE tenant = :tenant AND parent = :id)
                   OR EXISTS (SELECT 1 FROM conversation WHERE tenant = :tenant AND head = :id)""",
            {"tenant": tenant, "id": turn_id},
        ).fetchone()
        return bool(reached)

    def _delete_turn(self, tenant: str, turn_id: TurnId) -> sqlite3.Row | None:
        deleted = self._database.execute(
            "DELETE FROM turn WHERE tenant = ? AND id = ? RETURNING parent", (tenant, turn_id)
        ).fetchall()
        return deleted[0] if deleted else None

    def _collect_record(self, tenant: str, turn_id: TurnId, lines: dict[TurnId, list[RecordPart]]) -> None:
        if not self._queries.has_record(tenant, turn_id):
            return
        try:
            if parts := self._queries.line_of_records(tenant, turn_id):
                lines[turn_id] = parts
        except StoreCorrupt as error:  # nobody knows which state belonged to it: that is no error
            _log.error("removed, but its saved state stays until it is evicted: %s", error)
        self._database.execute("DELETE FROM record WHERE tenant = ? AND id = ?", (tenant, turn_id))
