"""What is removed from the SQLite store: turns and records to which no way leads any more."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from functools import partial

from ...model import TurnId
from ...transcript.records import RecordPart
from ..store import Forgotten, StoreCorrupt, forgotten
from .connection import SealedConnection
from .queries import Queries

_log = logging.getLogger(__name__)


class Pruning:
    """Works inside a transaction of the store, with its lock held."""

    def __init__(self, connection: SealedConnection, queries: Queries, max_unnamed_records: int) -> None:
        self._connection = connection
        self._database = connection.database
        self._queries = queries
        self._max_unnamed_records = max_unnamed_records

    def collect(self, tenant: str, leaves: Sequence[TurnId]) -> list[Forgotten]:
        """Removes each of `leaves` that nobody reaches, then its parents while nobody reaches them either."""
        lines: dict[TurnId, list[RecordPart]] = {}
        waiting = list(reversed(leaves))
        while waiting:
            turn_id = waiting.pop()
            if self._is_reached(tenant, turn_id):
                continue
            row = self._delete_turn(tenant, turn_id)
            if row and row["parent"]:
                waiting.append(TurnId(row["parent"]))
            self._collect_record(tenant, turn_id, lines)
        return [forgotten(parts, partial(self._queries.has_record, tenant)) for parts in lines.values()]

    def drop_oldest_unnamed(self) -> None:
        """Keeps the number of stateless clients' records within its bound. Inner nodes go once they are leaves."""
        (unnamed,) = self._database.execute("SELECT count(*) FROM record WHERE NOT named").fetchone()
        self._database.execute(
            """DELETE FROM record WHERE seq IN (
                   SELECT seq FROM record WHERE NOT named AND NOT EXISTS (
                       SELECT 1 FROM record child WHERE child.tenant = record.tenant AND child.base = record.id)
                   ORDER BY seq LIMIT ?)""",
            (max(0, unnamed - self._max_unnamed_records),),
        )

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
        """Removes the turn's record unless others are based on it: then it stays, as a stateless client's would."""
        if not self._queries.has_record(tenant, turn_id):
            return
        own = self._database.execute("SELECT * FROM record WHERE tenant = ? AND id = ?", (tenant, turn_id)).fetchall()
        based = self._database.execute("SELECT 1 FROM record WHERE tenant = ? AND base = ?", (tenant, turn_id))
        if based.fetchone():
            for row in own:
                self._connection.change("record", row, named=False)
            return
        try:
            lines[turn_id] = self._queries.line_of_records(tenant, turn_id)
        except StoreCorrupt as error:  # nobody knows which state belonged to it: that is no error
            _log.error("removed, but its saved state stays until it is evicted: %s", error)
        self._database.execute("DELETE FROM record WHERE tenant = ? AND id = ?", (tenant, turn_id))
