"""What SQLite reports, told as the store's own errors: none of them quotes what was said."""

from __future__ import annotations

import sqlite3
from typing import Final, Literal

from ..store import StoreCorrupt, StoreFailed, StoreFull

_DAMAGE: Final = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,  # our own statements are right: then it is the schema that is not
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISMATCH,
    }
)


TROUBLE: Final = (sqlite3.Error, UnicodeDecodeError)
"""The second where the name of a column is damaged, which Python decodes by itself."""


def told(error: sqlite3.Error | UnicodeDecodeError, verb: Literal["read", "written"]) -> StoreFailed:
    """To be raised `from None`: what is behind it may quote."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _DAMAGE:
        return StoreCorrupt(
            f"The conversation log is damaged where this would have been {verb} ({name}); it is not used. "
            "`warmturn verify` says what else is."
        )
    if name in _FULL:
        return full(name)
    unchanged = "" if verb == "read" else " Nothing was changed."
    return StoreFailed(f"The conversation log cannot be {verb}: {_WHY.get(name, name)}.{unchanged}")


def full(why: str) -> StoreFull:
    return StoreFull(
        f"There is no room for the conversation log on its disk ({why}). Nothing was changed. Make room there, or "
        "delete conversations; saved state has given way already."
    )


_FULL: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"})
"""The latter two where a quota is used up."""
_WHY: Final = {
    "SQLITE_READONLY": "it may only be read",
    "SQLITE_BUSY": "another program holds it",
}
