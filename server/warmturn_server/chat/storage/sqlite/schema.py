"""The tables of the SQLite store, and how a database is opened that has them."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ....errors import StartRefused
from .seal import RowSeal, text_as_it_is

SCHEMA_VERSION: Final = 2
BUSY_TIMEOUT_SECONDS: Final = 5.0
_PRAGMAS: Final[Mapping[str, str | int]] = {
    "journal_mode": "wal",
    "synchronous": 2,  # full
    "foreign_keys": 1,
    "secure_delete": 1,
}

_TABLES: Final = """
-- How many changes were made to this log; one row.
CREATE TABLE about (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    changes INTEGER NOT NULL,
    mac BLOB NOT NULL
);

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
    mac BLOB NOT NULL,
    UNIQUE (tenant, id)
);
CREATE INDEX conversation_by_head ON conversation (tenant, head, id);
-- A list of the newest goes by this one: in an index, equal rows are in the order of `seq`.
CREATE INDEX conversation_by_tenant ON conversation (tenant);

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
    recorded INTEGER NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (tenant, id)
);
CREATE INDEX turn_by_parent ON turn (tenant, parent);
CREATE INDEX turn_by_conversation ON turn (tenant, conversation, id);

-- What a turn's model saw: it goes with its turn, and is based on nothing but the record of an earlier one on its way.
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
    mac BLOB NOT NULL,
    UNIQUE (tenant, id)
);
CREATE INDEX record_by_base ON record (tenant, base, seq, id);

CREATE TABLE beginning (
    digest BLOB NOT NULL,
    record INTEGER NOT NULL REFERENCES record (seq) ON DELETE CASCADE,
    PRIMARY KEY (digest, record)
) WITHOUT ROWID;
CREATE INDEX beginning_by_record ON beginning (record);
"""


SEALED: Final = ("about", "conversation", "turn", "record")
"""Tables whose rows have a checksum. Digests of beginnings have none: what is found by them is compared as text."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Raises `sqlite3.Error`."""
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
        timeout=BUSY_TIMEOUT_SECONDS,
        check_same_thread=False,
        isolation_level=None,
        cached_statements=64,
        uri=True,
    )
    database.row_factory = sqlite3.Row
    database.text_factory = text_as_it_is
    database.execute("PRAGMA temp_store = MEMORY")
    return database


def connect_durably(path: Path) -> sqlite3.Connection:
    """For writing: synced before anybody is told, and what is deleted overwritten. Raises `sqlite3.Error`."""
    database = connect(path)
    for pragma, wanted in _PRAGMAS.items():
        database.execute(f"PRAGMA {pragma} = {wanted}")
        (found,) = database.execute(f"PRAGMA {pragma}").fetchone()
        if found != wanted:
            raise StartRefused(f"SQLite does not take {pragma} = {wanted} for {path} (it says {found}).")
    return database


def create_tables(database: sqlite3.Connection, seal: RowSeal) -> None:
    """Of a new log, empty and with a name of its own."""
    database.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version = {SCHEMA_VERSION};")
    insert(database, "about", seal.sealed("about", {"tenant": "", "id": secrets.token_hex(16), "changes": 0}))
    database.execute("COMMIT")


def insert(database: sqlite3.Connection, table: str, row: Mapping[str, object]) -> int:
    columns = ", ".join(row)
    marks = ", ".join(f":{column}" for column in row)
    return database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", dict(row)).lastrowid or 0


def version_of(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)
