"""Which servers were started in the background, a file each.

Such a file is its server's standard input, and locked through it: the lock is held by that process and by no other, for
as long as it lives. So a number that now is somebody else's process is never taken for a server, let alone signalled.
"""

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from warmturn.errors import SettingsError
from warmturn.settings import background_folder

_SUFFIX = ".json"
_UNNAMED = ".starting"


@dataclass(frozen=True, slots=True)
class Server:
    """`started_at` in seconds since 1970; `log_start`: the byte of its log that its words begin at."""

    pid: int
    url: str
    model: str
    started_at: float
    log: str
    log_start: int


@contextmanager
def looking() -> Iterator[Path]:
    """The folder, for one process at a time: nobody sees a server that is only half written down. Raises
    `SettingsError`.
    """
    folder = background_folder()
    with _alone_in(folder):
        yield folder


def _alone_in(folder: Path) -> IO[str]:
    try:
        lock = (folder / ".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise SettingsError(f"cannot keep track of servers in {folder}: {error.strerror}") from error
    return lock


@contextmanager
def locked_file(folder: Path) -> Iterator[IO[str]]:
    """To be a server's standard input; locked until it is closed here and in every process that has it open."""
    path = folder / _UNNAMED
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def write_down(server: Server, file: IO[str], folder: Path) -> None:
    """From now on it is listed; what an earlier process of that number left behind goes."""
    json.dump(asdict(server), file)
    file.flush()
    (folder / _UNNAMED).replace(_path(folder, server))


def take_stock(folder: Path) -> tuple[list[Server], list[Server]]:
    """Those that run, and those that ended since somebody looked last, of which this was the last word."""
    running: list[Server] = []
    ended: list[Server] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        is_held = _is_held(path)
        if (server := _read(path)) is not None:
            (running if is_held else ended).append(server)
        if not is_held:
            path.unlink(missing_ok=True)
    return running, ended


def forget(server: Server) -> None:
    """Its end is no news to anybody."""
    with looking() as folder:
        if not _is_held(_path(folder, server)):
            _path(folder, server).unlink(missing_ok=True)


def is_running(server: Server) -> bool:
    with looking() as folder:
        return _is_held(_path(folder, server))


def send(server: Server, number: signal.Signals) -> bool:
    """The signal, if it still runs. The process is taken hold of first and looked at then: there is no moment in
    between in which its number could become another's.
    """
    with contextlib.ExitStack() as stack:
        try:
            process = os.pidfd_open(server.pid) if hasattr(os, "pidfd_open") else None
        except ProcessLookupError:
            return False
        if process is not None:
            stack.callback(os.close, process)
        if not is_running(server):
            return False
        try:
            os.kill(server.pid, number) if process is None else signal.pidfd_send_signal(process, number)
        except ProcessLookupError:
            return False
        return True


def _path(folder: Path, server: Server) -> Path:
    return folder / f"{server.pid}{_SUFFIX}"


def _is_held(path: Path) -> bool:
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _read(path: Path) -> Server | None:
    """None for what no server's file says."""
    try:
        return Server(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
