"""Looks through a log for damage. It only reads, and names what it finds without quoting it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...model import TurnId
from ..store import StoreFailed
from .log_file import LogFile, lost_changes
from .queries import Queries
from .schema import SCHEMA_VERSION, SEALED, connect, version_of
from .seal import RowSeal
from .trouble import TROUBLE

_NAME: Final = re.compile(r"(conv|resp)_[0-9a-f]{48}")
_MOST_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class LogInspection:
    """`damaged` names rows, indexes or files; `unreadable` the conversations that cannot be read whole."""

    schema: int
    rows: dict[str, int]
    damaged: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    lost_changes: int = 0

    @property
    def is_sound(self) -> bool:
        return not (self.damaged or self.unreadable or self.lost_changes)


def inspect_log(path: Path, secret: bytes) -> LogInspection:
    """Beside a server too. A log of an older schema has no checksums: then only its structure is looked at."""
    acknowledged = LogFile(path).acknowledged_changes()  # before the log, which may grow meanwhile
    try:
        with closing(connect(path, read_only=True)) as database:
            return _inspect(database, acknowledged, RowSeal(secret))
    except TROUBLE as error:
        return LogInspection(0, {}, (f"{path.name}: it cannot be read ({_name_of(error)})",))


def copy_log(path: Path, to: Path) -> None:
    """All of it as it is at one moment, while a server may go on writing. Raises `sqlite3.Error`."""
    to.touch(mode=0o600)
    with closing(connect(path, read_only=True)) as source, closing(connect(to)) as copy:
        source.backup(copy)


def _inspect(database: sqlite3.Connection, acknowledged: tuple[str, int] | None, seal: RowSeal) -> LogInspection:
    database.execute("BEGIN")
    schema, damaged = version_of(database), list(_structure(database))
    if schema != SCHEMA_VERSION:
        return LogInspection(schema, _counts(database, SEALED[1:]), tuple(damaged))
    for table in SEALED:
        damaged += _rows(database, table, seal)
    about = database.execute("SELECT * FROM about").fetchone()
    lost = lost_changes(acknowledged, about["id"], about["changes"]) if about and seal.fits("about", about) else 0
    unreadable = tuple(_unreadable(database, Queries(database, seal)))
    return LogInspection(schema, _counts(database, SEALED[1:]), tuple(damaged), unreadable, lost)


def _structure(database: sqlite3.Connection) -> Iterator[str]:
    try:
        for (verdict,) in database.execute(f"PRAGMA integrity_check({_MOST_TOLD})"):
            if verdict != "ok":
                yield f"structure: {verdict}"
    except TROUBLE as error:
        yield f"structure: it cannot be looked through ({_name_of(error)})"


def _rows(database: sqlite3.Connection, table: str, seal: RowSeal) -> Iterator[str]:
    number = 0
    try:
        for number, row in enumerate(database.execute(f"SELECT * FROM {table} ORDER BY rowid"), 1):
            if not seal.fits(table, row):
                name = row["id"] if _NAME.fullmatch(str(row["id"])) else f"in row {number}"
                yield f"{table} {name}"
    except TROUBLE as error:
        yield f"{table}: nothing can be read behind row {number} ({_name_of(error)})"


def _unreadable(database: sqlite3.Connection, queries: Queries) -> Iterator[str]:
    try:
        rows = database.execute("SELECT tenant, id, head FROM conversation ORDER BY seq").fetchall()
    except TROUBLE:
        return
    for number, row in enumerate(rows, 1):
        try:
            _read_whole(queries, row["tenant"], row["id"])
        except (*TROUBLE, StoreFailed):
            yield row["id"] if _NAME.fullmatch(str(row["id"])) else f"in row {number}"


def _read_whole(queries: Queries, tenant: str, name: str) -> None:
    conversation = queries.conversation(tenant, name)
    for turn in queries.line_of_turns(tenant, conversation.head if conversation else None):
        if turn.reply:
            queries.line_of_records(tenant, TurnId(turn.id))


def _counts(database: sqlite3.Connection, tables: tuple[str, ...]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for table in tables:
        try:
            (counts[table],) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        except TROUBLE:
            counts[table] = 0
    return counts


def _name_of(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__)
