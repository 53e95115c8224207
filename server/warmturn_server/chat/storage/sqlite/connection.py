"""The one connection of a store to its file: what is read and written through it, one after the other."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .log_file import LogFile
from .open import about, open_database
from .schema import BUSY_TIMEOUT_SECONDS, insert
from .seal import RowSeal
from .trouble import TROUBLE, told

_log = logging.getLogger(__name__)


class SealedConnection:
    """A turn is a few kilobytes and one sync, so callers behind the lock hardly wait for each other."""

    def __init__(self, path: Path, secret: bytes) -> None:
        """Raises StartRefused."""
        self.seal = RowSeal(secret)
        self._file = LogFile(path)
        self.database = open_database(path, self.seal, self._file)
        self._log, self._changes = about(self.database, self.seal)
        self._lock = threading.Lock()
        self._refused = False
        self._has_to_erase = True  # a server that was killed may have left something

    @property
    def is_new(self) -> bool:
        """Or of an older schema, and just brought up to date."""
        return self._changes == 0

    def close(self) -> None:
        with self._lock:
            self.database.close()
            self._file.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Raises StoreFailed and StoreCorrupt."""
        with self._lock:
            self._file.check()
            try:
                yield self.database
            except TROUBLE as error:
                raise told(error, "read") from None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All that is written, or nothing. Raises StoreFailed and StoreCorrupt."""
        with self._lock:
            self._file.check()
            try:
                self.database.execute("BEGIN IMMEDIATE")
                with self.database:
                    yield self.database
                    self._count(self._changes + 1)
            except TROUBLE as error:
                self._refused = True
                raise told(error, "written") from None
            self._changes += 1
            self._refused = False
            if self._has_to_erase:
                self._erase()
            self._file.check()
            self._file.acknowledged(self._log, self._changes)

    @contextmanager
    def erasing(self) -> Iterator[sqlite3.Connection]:
        """What is deleted is in no file afterwards. While somebody else reads the log, that has to wait for a later
        writing."""
        self._has_to_erase = True
        with self.writing() as database:
            yield database

    def try_again(self) -> None:
        """Whether what could not be written last can be by now, is known after writing. Raises StoreFailed if not."""
        if self._refused:
            with self.writing():
                """Nothing but the number of changes."""

    def _erase(self) -> None:
        """Pages are overwritten where they were deleted; the -wal file has them too, and earlier contents of others."""
        try:
            self.database.execute("PRAGMA busy_timeout = 0")
            (busy, *_) = self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._has_to_erase = bool(busy)
        except sqlite3.Error as error:
            _log.warning("what was deleted is in the -wal file still: %s", error)
        finally:
            self.database.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")

    def insert(self, table: str, row: Mapping[str, object]) -> int:
        return insert(self.database, table, self.seal.sealed(table, row))

    def update(self, table: str, row: Mapping[str, object]) -> None:
        """The whole row of that tenant and id."""
        sealed = self.seal.sealed(table, row)
        columns = ", ".join(f"{column} = :{column}" for column in sealed)
        self.database.execute(f"UPDATE {table} SET {columns} WHERE tenant = :tenant AND id = :id", sealed)

    def change(self, table: str, row: sqlite3.Row, **changes: object) -> None:
        """Some columns of a row as it was read. What was damaged before is so afterwards."""
        content = {name: row[name] for name in row.keys() if name not in ("seq", "mac")}  # noqa: SIM118
        if self.seal.fits(table, row):
            self.update(table, {**content, **changes})
            return
        columns = ", ".join(f"{column} = :{column}" for column in changes)
        self.database.execute(f"UPDATE {table} SET {columns} WHERE seq = :seq", {**changes, "seq": row["seq"]})

    def _count(self, changes: int) -> None:
        self.update("about", {"tenant": "", "id": self._log, "changes": changes})
