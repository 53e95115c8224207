"""What is asked of the SQLite store that takes more than a line."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from ...model import Conversation, Turn, TurnId
from ...transcript.prefix_digests import TextDigest
from ...transcript.records import RecordPart
from .rows import conversation_from, record_from, turn_from

_DIGESTS_A_QUERY: Final = 500


def find_conversation(database: sqlite3.Connection, tenant: str, conversation_id: str) -> Conversation | None:
    row = database.execute(
        "SELECT * FROM conversation WHERE tenant = ? AND id = ?", (tenant, conversation_id)
    ).fetchone()
    return conversation_from(row) if row else None


def line_of_turns(database: sqlite3.Connection, tenant: str, turn_id: TurnId | None) -> list[Turn]:
    """From the root to this turn."""
    rows = database.execute(
        """WITH RECURSIVE line (id, parent, depth) AS (
               SELECT id, parent, 0 FROM turn WHERE tenant = :tenant AND id = :id
               UNION ALL
               SELECT turn.id, turn.parent, depth + 1 FROM turn JOIN line ON turn.id = line.parent
               WHERE turn.tenant = :tenant)
           SELECT turn.* FROM line JOIN turn ON turn.id = line.id AND turn.tenant = :tenant
           ORDER BY depth DESC""",
        {"tenant": tenant, "id": turn_id},
    )
    return [turn_from(row) for row in rows]


def line_of_records(database: sqlite3.Connection, tenant: str, turn_id: TurnId) -> list[RecordPart]:
    """From the root to this turn's record."""
    rows = database.execute(
        """WITH RECURSIVE line (id, base, depth) AS (
               SELECT id, base, 0 FROM record WHERE tenant = :tenant AND id = :id
               UNION ALL
               SELECT record.id, record.base, depth + 1 FROM record JOIN line ON record.id = line.base
               WHERE record.tenant = :tenant)
           SELECT record.* FROM line JOIN record ON record.id = line.id AND record.tenant = :tenant
           ORDER BY depth DESC""",
        {"tenant": tenant, "id": turn_id},
    )
    return [record_from(row) for row in rows]


def has_record(database: sqlite3.Connection, tenant: str, turn_id: TurnId) -> bool:
    found = database.execute("SELECT 1 FROM record WHERE tenant = ? AND id = ?", (tenant, turn_id))
    return found.fetchone() is not None


def records_beginning(
    database: sqlite3.Connection, tenant: str, chain: Sequence[TextDigest], limit: int
) -> list[TurnId]:
    """Those that own the last digest of `chain` that anybody owns, newest first."""
    for end in range(len(chain), 0, -_DIGESTS_A_QUERY):
        asked = chain[max(0, end - _DIGESTS_A_QUERY) : end]
        marks = ",".join("?" * len(asked))
        known = database.execute(f"SELECT DISTINCT digest FROM beginning WHERE digest IN ({marks})", asked)
        owned = {row["digest"] for row in known}
        deepest = next((digest for digest in reversed(asked) if digest in owned), None)
        if deepest is not None:
            return _owners(database, tenant, deepest, limit)
    return []


def _owners(database: sqlite3.Connection, tenant: str, digest: TextDigest, limit: int) -> list[TurnId]:
    rows = database.execute(
        "SELECT record.id FROM beginning JOIN record ON record.seq = beginning.record"
        " WHERE digest = ? AND tenant = ? ORDER BY beginning.record DESC LIMIT ?",
        (digest, tenant, limit),
    )
    return [TurnId(row["id"]) for row in rows]
