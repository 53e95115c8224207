"""The log of a server: its store, and what keeps two turns from going on in the same conversation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .locks import ConversationLocks, LocalLocks
from .sqlite_store import SqliteStore
from .store import ConversationStore


@dataclass(frozen=True, slots=True)
class Log:
    store: ConversationStore
    locks: ConversationLocks


def open_local_log(data_dir: Path) -> Log:
    """One server's own, in a file. Raises StartRefused with what to do."""
    return Log(SqliteStore(data_dir / "conversations.sqlite3"), LocalLocks())
