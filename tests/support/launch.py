"""Two ways to a `warmturn` process: a fresh interpreter, and the fork of one that has imported everything."""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final, Protocol

MAX_REQUEST_BYTES: Final = 2**17
NUMBER: Final = struct.Struct("q")
IMPORTED_WITH: Final = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
"""Of every server's environment: these count while Python and torch start."""
_ROOT: Final = Path(__file__).parents[2]
_asked: Final[list[socket.socket]] = []


class Process(Protocol):
    """What a `subprocess.Popen` is too."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


Launch = Callable[[Sequence[str], Mapping[str, str], Path, Path], Process]
"""`launch(arguments, environment, stdout, stderr)` runs `warmturn`; what it writes to stderr is appended."""


def fresh(arguments: Sequence[str], environment: Mapping[str, str], stdout: Path, stderr: Path) -> Process:
    """As its users run it."""
    with stdout.open("wb") as out, stderr.open("ab") as err:
        return subprocess.Popen([sys.executable, "-m", "warmturn", *arguments], stdout=out, stderr=err, env=environment)


def forked(arguments: Sequence[str], environment: Mapping[str, str], stdout: Path, stderr: Path) -> Process:
    """There in a moment; what counts while Python and torch start is `IMPORTED_WITH`, whatever `environment` says."""
    with Path(os.devnull).open("rb") as nothing, stdout.open("wb") as out, stderr.open("ab") as err:
        return _fork(arguments, environment, nothing, out, err)


def run(
    arguments: Sequence[str], environment: Mapping[str, str], stdin: str, timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` would, in a fork: what `warmturn` printed, and how it ended."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        process = _fork(arguments, environment, given, out, err)
        try:
            status = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read().decode(), err.read().decode())


def launch_own_server(command: Sequence[str], environment: Mapping[str, str], stderr: IO[str]) -> "OfFork":
    """As `warmturn.own_server.launch`, for a command that is a fork itself: so is then what it runs of `warmturn`.

    On one thread, if nothing else is asked for: models are tiny in tests.
    """
    reading, writing = os.pipe()
    with Path(os.devnull).open("rb") as nothing, os.fdopen(writing, "wb") as stdout:
        process = _fork(_on_one_thread(command), environment, nothing, stdout, stderr)
    return OfFork(process, os.fdopen(reading))


def launch_in_background(command: Sequence[str], environment: Mapping[str, str], stdin: IO[Any], log: IO[bytes]) -> int:
    """As `warmturn.cli.background.start.launch`, for the same."""
    return _fork(_on_one_thread(command), environment, stdin, log, log).pid


def _on_one_thread(command: Sequence[str]) -> list[str]:
    """What `warmturn` is asked for."""
    arguments = [*command[command.index("warmturn") + 1 :]]
    return arguments if "--threads" in arguments else [*arguments, "--threads", "1"]


class OfFork:
    """What a `subprocess.Popen` with a pipe for stdout offers to whom reads it, kills it and waits for it."""

    def __init__(self, process: Process, stdout: IO[str]) -> None:
        self.stdout = stdout
        self.kill, self.wait = process.kill, process.wait


def _fork(
    arguments: Sequence[str], environment: Mapping[str, str], stdin: IO[Any], stdout: IO[bytes], stderr: IO[Any]
) -> "_Forked":
    message = json.dumps({"arguments": arguments, "environment": dict(environment)}).encode()
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as report:
        files = [file.fileno() for file in (stdin, stdout, stderr, report)]
        socket.send_fds(_forking(), [message], files)
    return _Forked(reading)


def ask(forking: socket.socket) -> None:
    """Take this for where requests go."""
    _asked.append(forking)


def _forking() -> socket.socket:
    """Where `tests.support.forking` takes requests; it ends with this process, if this one started it."""
    if not _asked:
        ask(_started())
    return _asked[0]


def _started() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.support.forking", str(theirs.fileno())]
    with theirs:
        subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=_ROOT, env={**os.environ, **IMPORTED_WITH})
    return ours


class _Forked:
    """Somebody else's child, known by what its parent tells of it."""

    def __init__(self, report: int) -> None:
        self._report = report
        self._status: int | None = None
        self.pid = self._read()

    def poll(self) -> int | None:
        return self._status if self._status is not None or not self._has_ended(0) else self._end()

    def wait(self, timeout: float | None = None) -> int:
        if self._status is not None:
            return self._status
        if not self._has_ended(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return self._end()

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _has_ended(self, timeout: float | None) -> bool:
        return bool(select.select([self._report], [], [], timeout)[0])

    def _end(self) -> int:
        self._status = self._read()
        os.close(self._report)
        return self._status

    def _read(self) -> int:
        told = os.read(self._report, NUMBER.size)
        assert told, "the process that servers are forked from has ended"
        number: int = NUMBER.unpack(told)[0]
        return number
