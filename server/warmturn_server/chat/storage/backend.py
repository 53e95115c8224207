"""What a server keeps its conversations with: their store, their locks, and what its peers are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...data_dir import LOG_NAME
from ...room import Room
from .invalidation import Invalidations, NoPeers
from .locks import ConversationLocks, LocalLocks
from .sqlite.store import SqliteStore
from .store import ConversationStore


@dataclass(frozen=True, slots=True)
class Storage:
    store: ConversationStore
    locks: ConversationLocks
    invalidations: Invalidations = field(default_factory=NoPeers)


def open_local_storage(data_dir: Path, secret: bytes = b"", room: Room | None = None) -> Storage:
    """One server's own, in a file; `room`: on its disk. Raises StartRefused with what to do."""
    return Storage(SqliteStore(data_dir / LOG_NAME, secret, room), LocalLocks())
