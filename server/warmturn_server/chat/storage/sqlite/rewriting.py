"""Writes a log anew: into a new file, which takes the old one's place when it is whole."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ....errors import StartRefused
from .schema import SEALED, connect, connect_durably, create_tables, insert
from .seal import RowSeal

Fill = Callable[[sqlite3.Connection, sqlite3.Connection], None]
"""From the old to the new, in one transaction. Raises StartRefused."""


def rewrite(path: Path, seal: RowSeal, fill: Fill) -> None:
    """Nothing that was deleted is in the new file. Raises StartRefused and `sqlite3.Error`; then the old one stays."""
    unfinished = path.with_name(f"{path.name}-new")
    _remove(unfinished)
    unfinished.touch(mode=0o600)
    with closing(connect(path)) as old, closing(connect_durably(unfinished)) as new:
        (verdict,) = old.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise StartRefused(f"{path} is damaged, and cannot be written anew: restore a backup of it.")
        create_tables(new, seal)
        new.execute("BEGIN")
        fill(old, new)
        new.execute("COMMIT")
        (busy, *_) = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StartRefused(f"{path} is read by somebody else; stop that, and start again.")
    _replace(path, unfinished)


def sign_anew(path: Path, seal: RowSeal) -> None:
    """If it was written without a secret and there is one now. Raises StartRefused."""
    with closing(connect(path, read_only=True)) as database:
        about = database.execute("SELECT * FROM about").fetchone()
    if about and not seal.fits("about", about) and RowSeal().fits("about", about):
        rewrite(path, seal, lambda old, new: _copy(old, new, seal))


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, seal: RowSeal) -> None:
    unsigned = RowSeal()
    new.execute("DELETE FROM about")
    for table in SEALED:
        for number, row in enumerate(old.execute(f"SELECT * FROM {table} ORDER BY rowid"), 1):
            if not unsigned.fits(table, row):
                raise unreadable(table, number)
            content = {name: row[name] for name in row.keys() if name != "mac"}  # noqa: SIM118
            insert(new, table, seal.sealed(table, content))
    for digest, record in old.execute("SELECT digest, record FROM beginning"):
        insert(new, "beginning", {"digest": digest, "record": record})


def unreadable(table: str, number: int) -> StartRefused:
    return StartRefused(
        f"Row {number} of table {table} of the conversation log is damaged: restore a backup, or remove the row "
        "(`warmturn verify` says what is damaged)."
    )


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
