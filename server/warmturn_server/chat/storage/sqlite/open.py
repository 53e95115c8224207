"""Opens a log in a file: makes it, brings an older one up to date, refuses what cannot be relied on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ....errors import StartRefused
from ..store import StoreCorrupt
from .log_file import LogFile
from .migration import migrate
from .rewriting import sign_anew
from .schema import SCHEMA_VERSION, connect, connect_durably, create_tables, version_of
from .seal import RowSeal
from .trouble import TROUBLE


def open_database(path: Path, seal: RowSeal, file: LogFile) -> sqlite3.Connection:
    """A connection to the log at `path`, which is made if there is none, readable by its owner only.

    Raises StartRefused.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        _prepare(path, seal, file)
        database = connect_durably(path)
        file.opened(*about(database, seal))
    except (*TROUBLE, OSError, StoreCorrupt) as error:
        raise StartRefused(f"The conversations in {path} cannot be opened: {str(error).rstrip('.')}.") from error
    return database


def about(database: sqlite3.Connection, seal: RowSeal) -> tuple[str, int]:
    """The log's name, and how many changes it holds. Raises StartRefused where it was not signed by `seal`."""
    row = database.execute("SELECT * FROM about").fetchone()
    if row is None or not seal.fits("about", row):
        raise StartRefused(
            "The conversation log here was signed with another secret, or is damaged: give the WARMTURN_LOG_SECRET "
            "that it was written with (`warmturn verify` says which rows fit), or name another folder with --data-dir."
        )
    return row["id"], row["changes"]


def _prepare(path: Path, seal: RowSeal, file: LogFile) -> None:
    """Whatever is refused is left as it is."""
    found = _version(path)
    if found > SCHEMA_VERSION:
        raise StartRefused(
            f"The conversations in {path} were written by a newer version of Warmturn (schema {found}, this one knows "
            f"{SCHEMA_VERSION}). Install that version, or name another folder with --data-dir."
        )
    if not found:
        file.refuse_loss("", 0)
        path.touch(mode=0o600)
        with closing(connect_durably(path)) as database:
            create_tables(database, seal)
    elif found < SCHEMA_VERSION:
        migrate(path, seal)
    else:
        sign_anew(path, seal)
        with closing(connect(path, read_only=True)) as database:
            file.refuse_loss(*about(database, seal))


def _version(path: Path) -> int:
    """0 where there is nothing yet."""
    if not path.exists():
        return 0
    with closing(connect(path, read_only=True)) as database:
        return version_of(database)
