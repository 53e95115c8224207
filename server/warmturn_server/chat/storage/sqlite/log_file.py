"""The log's files from outside: are they still those that were opened, and do they hold all that was acknowledged."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from ....errors import StartRefused
from ..store import StoreFailed

_NOBODY: Final = (-1, -1)
_COUNT_DIGITS: Final = 20


class LogFile:
    """Beside the log lies the number of changes that were acknowledged. It is written after each of them and never
    synced by itself: after a crash it may be behind the log, and never ahead of it unless the log has lost something.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = path.with_name(path.name + "-count")
        self._watched = {path: _NOBODY, path.with_name(path.name + "-wal"): _NOBODY}
        self._descriptor = -1

    def acknowledged_changes(self) -> tuple[str, int] | None:
        """Of which log how many; None where nothing is known."""
        return _read(self._count)

    def refuse_loss(self, log: str, changes: int) -> None:
        """Raises StartRefused if more was acknowledged than the log `log` holds."""
        known = self.acknowledged_changes()
        if number := lost_changes(known, log, changes):
            lost = f"{number:,} changes" if known and known[0] == log else "all changes"
            raise StartRefused(
                f"{lost} that were acknowledged are not in {self._path} any more: its -wal file was damaged or "
                "removed, or the file is another one. Put the right files back (`warmturn verify` says what these "
                f"hold); to go on with what is left, remove {self._count}."
            )

    def opened(self, log: str, changes: int) -> None:
        """From now on these files must stay what they are."""
        self._watched = {path: _identity(path) for path in self._watched}
        self._descriptor = os.open(self._count, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        self.acknowledged(log, changes)

    def check(self) -> None:
        """Raises StoreFailed if what is written goes where nobody would find it again."""
        for path, identity in self._watched.items():
            if _identity(path) != identity:
                raise StoreFailed(
                    f"The file {path.name} of the conversation log was removed or replaced while the server runs. Put "
                    "it back; until then nothing is written."
                )

    def acknowledged(self, log: str, changes: int) -> None:
        """Losing it costs only that a loss would not be noticed."""
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, f"{log} {changes:0{_COUNT_DIGITS}d}\n".encode(), 0)

    def close(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def lost_changes(acknowledged: tuple[str, int] | None, log: str, changes: int) -> int:
    """How many of the acknowledged ones the log `log` does not hold: all, if it is another one."""
    if acknowledged is None:
        return 0
    return max(acknowledged[1] - changes, 0) if acknowledged[0] == log else acknowledged[1]


def _read(path: Path) -> tuple[str, int] | None:
    """None where nothing is known."""
    try:
        log, changes = path.read_text().split()
        return log, int(changes)
    except (OSError, ValueError):
        return None


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return _NOBODY
    return found.st_dev, found.st_ino
