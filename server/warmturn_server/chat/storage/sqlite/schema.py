"""The tables of the SQLite store, and the check that this program may open them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from ....errors import StartRefused

SCHEMA_VERSION: Final = 1
_BUSY_TIMEOUT_SECONDS: Final = 5.0

_TABLES: Final = """
CREATE TABLE conversation (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    head TEXT,
    version INTEGER NOT NULL,
    hidden TEXT NOT NULL,
    UNIQUE (tenant, id)
);
CREATE INDEX conversation_by_head ON conversation (tenant, head);

CREATE TABLE turn (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    parent TEXT,
    conversation TEXT,
    created_at INTEGER NOT NULL,
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    reply TEXT,
    stored INTEGER NOT NULL,
    UNIQUE (tenant, id)
);
CREATE INDEX turn_by_parent ON turn (tenant, parent);
CREATE INDEX turn_by_conversation ON turn (tenant, conversation);

-- A record outlives its turn while other records are based on it; one without a turn belongs to a stateless client.
CREATE TABLE record (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    base TEXT,
    kept_tokens INTEGER NOT NULL,
    token_ids BLOB NOT NULL,
    ends BLOB NOT NULL,
    text TEXT NOT NULL,
    vocabulary TEXT NOT NULL,
    named INTEGER NOT NULL,
    UNIQUE (tenant, id)
);
CREATE INDEX record_by_base ON record (tenant, base, seq);
CREATE INDEX record_unnamed ON record (seq) WHERE NOT named;

CREATE TABLE beginning (
    digest BLOB NOT NULL,
    record INTEGER NOT NULL REFERENCES record (seq) ON DELETE CASCADE,
    PRIMARY KEY (digest, record)
) WITHOUT ROWID;
CREATE INDEX beginning_by_record ON beginning (record);
"""


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to the log at `path`, which is made if there is none, readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    try:
        database = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_SECONDS, check_same_thread=False, isolation_level=None, cached_statements=64
        )
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        _ensure_schema(database, path)
    except sqlite3.Error as error:
        raise StartRefused(f"The conversations in {path} cannot be opened: {error}.") from error
    return database


def _ensure_schema(database: sqlite3.Connection, path: Path) -> None:
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA_VERSION:
        raise StartRefused(
            f"The conversations in {path} were written by a newer version of Warmturn (schema {found}, this one knows "
            f"{SCHEMA_VERSION}). Install that version, or name another folder with --data-dir."
        )
    if found == 0:
        database.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
