"""Writes a log anew that is of an older schema, or gets its secret: the new file takes the old one's place whole."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ....errors import StartRefused
from .rows import conversation_from, record_from, turn_from
from .schema import SEALED, connect, connect_durably, create_tables, insert, version_of
from .seal import RowSeal

_READERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "about": dict,
    "conversation": conversation_from,
    "turn": turn_from,
    "record": record_from,
}


def migrate(path: Path, seal: RowSeal) -> None:
    """From an older schema. Its rows had no checksums: what can be read is believed. Raises StartRefused."""
    _rewrite(path, seal, lambda *_: True)


def sign_anew(path: Path, seal: RowSeal) -> None:
    """If it was written without a secret and there is one now. Raises StartRefused."""
    unsigned = RowSeal()
    database = connect(path, read_only=True)
    about = database.execute("SELECT * FROM about").fetchone()
    database.close()
    if about and not seal.fits("about", about) and unsigned.fits("about", about):
        _rewrite(path, seal, unsigned.fits)


def _rewrite(path: Path, seal: RowSeal, is_sound: Callable[[str, sqlite3.Row], bool]) -> None:
    unfinished = path.with_name(f"{path.name}-new")
    _remove(unfinished)
    unfinished.touch(mode=0o600)
    old, new = connect(path), connect_durably(unfinished)
    try:
        _refuse_damaged(old, path)
        create_tables(new, seal)
        new.execute("BEGIN")
        for table in SEALED if version_of(old) > 1 else SEALED[1:]:
            _copy(table, old, new, seal, is_sound)
        for digest, record in old.execute("SELECT digest, record FROM beginning"):
            insert(new, "beginning", {"digest": digest, "record": record})
        new.execute("COMMIT")
        (busy, *_) = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StartRefused(f"{path} is read by somebody else; stop that, and start again.")
    finally:
        old.close()
        new.close()
    _replace(path, unfinished)


def _copy(
    table: str,
    old: sqlite3.Connection,
    new: sqlite3.Connection,
    seal: RowSeal,
    is_sound: Callable[[str, sqlite3.Row], bool],
) -> None:
    if table == "about":
        new.execute("DELETE FROM about")
    for number, row in enumerate(old.execute(f"SELECT * FROM {table} ORDER BY rowid"), 1):
        if not (is_sound(table, row) and _can_be_read(table, row)):
            raise StartRefused(
                f"Row {number} of table {table} of the conversation log is damaged: restore a backup, or remove it "
                "(`warmturn verify` says which it is)."
            )
        insert(new, table, seal.sealed(table, {name: row[name] for name in row.keys() if name != "mac"}))  # noqa: SIM118


def _can_be_read(table: str, row: sqlite3.Row) -> bool:
    try:
        _READERS[table](row)
    except (ValueError, TypeError, KeyError):
        return False
    return True


def _refuse_damaged(database: sqlite3.Connection, path: Path) -> None:
    (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise StartRefused(f"{path} is damaged, and cannot be brought up to date: restore a backup of it.")


def _replace(path: Path, by: Path) -> None:
    """Without a moment in which a -wal file lies beside a database that it does not belong to."""
    _remove(path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))
    by.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(*paths: Path) -> None:
    for path in paths:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
