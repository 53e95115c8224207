"""What is asked of the SQLite store that takes more than a line. Nothing is believed that its checksum does not fit."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ...model import Conversation, Turn, TurnId
from ...transcript.prefix_digests import TextDigest
from ...transcript.records import RecordPart
from ..store import damaged
from .rows import conversation_from, record_from, turn_from
from .seal import RowSeal

_DIGESTS_A_QUERY: Final = 500
_OTHER_INDEX: Final = {
    "conversation": "conversation_by_head",
    "turn": "turn_by_conversation",
}
_log = logging.getLogger(__name__)


def way_up(table: str, column: str) -> str:
    """What a query begins with: `line (id, up)` leads from the row `:id` of `:tenant` to its root, in no order.

    A damaged row may lead back into it, so nothing is in it twice.
    """
    return f"""WITH RECURSIVE line (id, up) AS (
        SELECT id, {column} FROM {table} WHERE tenant = :tenant AND id = :id
        UNION
        SELECT {table}.id, {table}.{column} FROM {table} JOIN line ON {table}.id = line.up
        WHERE {table}.tenant = :tenant)"""


class Queries:
    """All raise StoreCorrupt. Work with the store's lock held."""

    def __init__(self, database: sqlite3.Connection, seal: RowSeal) -> None:
        self._database = database
        self._seal = seal

    def conversation(self, tenant: str, conversation_id: str) -> Conversation | None:
        row = self._named("conversation", tenant, conversation_id)
        return conversation_from(row) if row else None

    def turn(self, tenant: str, turn_id: TurnId) -> Turn | None:
        row = self._named("turn", tenant, turn_id)
        return turn_from(row) if row else None

    def readable(self, rows: Iterable[sqlite3.Row]) -> Iterator[Conversation]:
        """A list goes on without the ones that are damaged; asked for by name, they say so."""
        for row in rows:
            if self._seal.fits("conversation", row):
                yield conversation_from(row)
            else:
                _log.error("left out of a list: %s", damaged("conversation", f"row {row['seq']}"))

    def line_of_turns(self, tenant: str, turn_id: TurnId | None) -> list[Turn]:
        """From the root to this turn."""
        return [turn_from(row) for row in self._line("turn", "parent", tenant, turn_id)]

    def line_of_records(self, tenant: str, turn_id: TurnId) -> list[RecordPart]:
        """From the root to this turn's record."""
        return [record_from(row) for row in self._line("record", "base", tenant, turn_id)]

    def has_record(self, tenant: str, turn_id: TurnId) -> bool:
        found = self._database.execute("SELECT 1 FROM record WHERE tenant = ? AND id = ?", (tenant, turn_id))
        return found.fetchone() is not None

    def records_based_on(self, tenant: str, turn_id: TurnId, limit: int) -> list[RecordPart]:
        """Newest first. The damaged ones are left out: the text would not be found to go on like them."""
        rows = self._database.execute(
            "SELECT * FROM record WHERE tenant = ? AND base = ? ORDER BY seq DESC LIMIT ?", (tenant, turn_id, limit)
        )
        return [record_from(row) for row in rows if self._seal.fits("record", row)]

    def records_beginning(self, tenant: str, chain: Sequence[TextDigest], limit: int) -> list[TurnId]:
        """Those that own the last digest of `chain` that anybody owns, newest first."""
        for end in range(len(chain), 0, -_DIGESTS_A_QUERY):
            asked = chain[max(0, end - _DIGESTS_A_QUERY) : end]
            known = self._database.execute(  # however many begin alike, one of them is enough
                f"WITH asked (digest) AS (VALUES {','.join(['(?)'] * len(asked))}) SELECT digest FROM asked"
                " WHERE EXISTS (SELECT 1 FROM beginning WHERE beginning.digest = asked.digest)",
                asked,
            )
            owned = {row["digest"] for row in known}
            deepest = next((digest for digest in reversed(asked) if digest in owned), None)
            if deepest is not None:
                return self._owners(tenant, deepest, limit)
        return []

    def _owners(self, tenant: str, digest: TextDigest, limit: int) -> list[TurnId]:
        rows = self._database.execute(
            "SELECT record.id FROM beginning JOIN record ON record.seq = beginning.record"
            " WHERE digest = ? AND tenant = ? ORDER BY beginning.record DESC LIMIT ?",
            (digest, tenant, limit),
        )
        return [TurnId(row["id"]) for row in rows]

    def _named(self, table: str, tenant: str, name: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._database.execute(
            f"SELECT * FROM {table} WHERE tenant = ? AND id = ?", (tenant, name)
        ).fetchone()
        if row is None:
            self._refuse_if_known(table, tenant, name)
        else:
            self._seal.check(table, row, tenant, name)
        return row

    def _line(self, table: str, up: str, tenant: str, last: str | None) -> list[sqlite3.Row]:
        """From the root to `last`, each proved to be the one that the row behind it names."""
        found = self._database.execute(
            f"{way_up(table, up)} SELECT {table}.* FROM line JOIN {table} USING (id) WHERE {table}.tenant = :tenant",
            {"tenant": tenant, "id": last},
        )
        rows = {row["id"]: row for row in found}
        line: list[sqlite3.Row] = []
        name = last
        while name is not None and name in rows:
            row = rows.pop(name)
            self._seal.check(table, row, tenant, name)
            line.append(row)
            name = row[up]
        if rows or (name is not None and (line or self._should_be_there(table, tenant, name))):
            raise damaged(table, str(name or last))
        return line[::-1]

    def _should_be_there(self, table: str, tenant: str, name: str) -> bool:
        turn = self._named("turn", tenant, name)
        return bool(turn and (table == "turn" or turn["recorded"]))

    def _refuse_if_known(self, table: str, tenant: str, name: str) -> None:
        """What one index does not find another may have: then it is not that there is none, but that the first lies."""
        found = self._database.execute(
            f"SELECT 1 FROM {table} INDEXED BY {_OTHER_INDEX[table]} WHERE tenant = ? AND +id = ?", (tenant, name)
        )
        if found.fetchone():
            raise damaged(table, name)
