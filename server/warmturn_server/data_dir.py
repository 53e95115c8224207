"""The data folder: held by one server at a time, with hashes of model files remembered from start to start."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from pathlib import Path
from typing import IO, Final

from .errors import StartRefused

LOG_NAME: Final = "conversations.sqlite3"
STATE_NAME: Final = "kv"
MODELS_NAME: Final = "models"
"""What `warmturn pull` brought, a folder each."""
_OURS: Final = (LOG_NAME, STATE_NAME, MODELS_NAME, "lock", "model_hashes", "room-to-delete", "server.log")
"""How the names begin of what a server keeps in its data folder."""
_SETTLED_NS = 2_000_000_000


def lock_data_dir(data_dir: Path) -> IO[str]:
    """Hold the data folder for this process, for as long as the returned file is open."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (data_dir / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _keep_to_owner(data_dir)
    except BlockingIOError as error:
        raise StartRefused(f"another server uses {data_dir}; give this one its own --data-dir") from error
    except OSError as error:
        raise StartRefused(f"cannot use {data_dir} as data folder: {error.strerror}; set --data-dir") from error
    return lock


def _keep_to_owner(data_dir: Path) -> None:
    """Who may read the files here reads the conversations. A folder that holds anything else is left as it is."""
    entries = {path.name: path for path in data_dir.iterdir()}
    ours = [path for name, path in entries.items() if name.startswith(_OURS) and not path.is_symlink()]
    for path in ours:
        path.chmod(0o700 if path.is_dir() else 0o600)
    if len(ours) == len(entries):
        data_dir.chmod(0o700)


def is_in_use(data_dir: Path) -> bool:
    """Whether a server holds the folder now."""
    try:
        with (data_dir / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class FileHashes:
    """SHA-256 by file, in one JSON file.

    A remembered hash holds while inode, size, modification and change time are the same; the last cannot be set by
    anybody. A file that changed within the last two seconds is not remembered: clocks of file systems are coarse.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, list[object]] = {}
        self._changed = False
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(memory.read_text())
            self._known = known if isinstance(known, dict) else {}

    def of(self, folder: Path, patterns: tuple[str, ...]) -> str:
        """One hash over names and contents of the files that match, in order of name."""
        digest = hashlib.sha256()
        for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
            digest.update(path.name.encode() + b"\0" + bytes.fromhex(self._of_file(path)))
        self._remember()
        return digest.hexdigest()

    def _of_file(self, path: Path) -> str:
        identity = _identity(path)
        match self._known.get(str(path.resolve())):
            case [*known, str(digest)] if known == identity:
                return digest
        with path.open("rb") as file:
            computed = hashlib.file_digest(file, "sha256").hexdigest()
        if _identity(path) == identity and time.time_ns() - path.stat().st_ctime_ns > _SETTLED_NS:
            self._known[str(path.resolve())] = [*identity, computed]
            self._changed = True
        return computed

    def _remember(self) -> None:
        """Losing it costs time only."""
        if not self._changed:
            return
        with contextlib.suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            unfinished = self._memory.with_suffix(f".{os.getpid()}.part")
            unfinished.write_text(json.dumps(self._known))
            unfinished.replace(self._memory)
            self._changed = False


def _identity(path: Path) -> list[object]:
    found = path.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
