"""A process that has imported what a server imports and forks one on request: ready at once, not after six seconds.

`python -m tests.support.forking DESCRIPTOR`, of a socket where requests come in. Each is a JSON object of `arguments`
and `environment`, with four descriptors: stdin, stdout, stderr, and where the process's id and later its exit status
are written. It never starts a thread, so that a fork of it has all that a fresh interpreter has. What the command's
own modules see of the environment when they are imported they see in the fork: only packages of others are loaded here.
"""

import contextlib
import gc
import io
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TextIO

import httpx  # noqa: F401
import prompt_toolkit  # noqa: F401
import typer  # noqa: F401
import uvicorn.lifespan.on
import uvicorn.loops.auto
import uvicorn.protocols.http.auto  # noqa: F401
from tests.support.launch import MAX_REQUEST_BYTES, NUMBER, ask, launch_in_background, launch_own_server
from transformers.models.llama import modeling_llama  # noqa: F401

import warmturn.__main__
import warmturn.cli.background.start
import warmturn.own_server
import warmturn_server.build
import warmturn_server.serve  # noqa: F401

_NUM_DESCRIPTORS = 4


@dataclass(frozen=True)
class Request:
    message: bytes
    stdin: int
    stdout: int
    stderr: int
    report: int


class Forking:
    """What it forked and has not seen the end of, each with where that is to be told."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._from_forks, self.for_forks = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._reports: dict[int, int] = {}
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)

    def serve(self) -> Request | None:
        """Returns in every process that it forks what that is to be, and here at the end, when nobody asks any more."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the tests, whose end is ours
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker)
        while True:
            asked = (self._requests, self._from_forks)
            ready, _, _ = select.select([*(asking.fileno() for asking in asked), self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._report_ended()
            for asking in (asking for asking in asked if asking.fileno() in ready):
                request = _receive(asking)
                if request is None:
                    self._kill_all()
                    return None
                if self._fork(request):
                    return request

    def _fork(self, request: Request) -> bool:
        """Whether this is the new process."""
        pid = os.fork()
        if pid == 0:
            self._forget_all()
            os.close(request.report)
            return True
        self._reports[pid] = request.report
        os.write(request.report, NUMBER.pack(pid))
        for descriptor in (request.stdin, request.stdout, request.stderr):
            os.close(descriptor)
        return False

    def _forget_all(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._requests.close()
        self._from_forks.close()
        for descriptor in (self._woken, self._waker, *self._reports.values()):
            os.close(descriptor)

    def _report_ended(self) -> None:
        while self._reports:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            report = self._reports.pop(pid)
            with contextlib.suppress(BrokenPipeError):
                os.write(report, NUMBER.pack(os.waitstatus_to_exitcode(status)))
            os.close(report)

    def _kill_all(self) -> None:
        for pid in self._reports:
            os.kill(pid, signal.SIGKILL)


def _receive(asking: socket.socket) -> Request | None:
    message, descriptors, _, _ = socket.recv_fds(asking, MAX_REQUEST_BYTES, _NUM_DESCRIPTORS)
    return Request(message, *descriptors) if message else None


def become(request: Request, asking: socket.socket) -> None:
    """The process has the requested files, environment and arguments, and runs the `warmturn` command."""
    for descriptor, number in ((request.stdin, 0), (request.stdout, 1), (request.stderr, 2)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    _open_streams()
    wanted = json.loads(request.message)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.argv = ["warmturn", *wanted["arguments"]]
    if "serve" in wanted["arguments"]:
        asking.close()
    else:
        ask(asking)
        warmturn.own_server.launch = launch_own_server  # type: ignore[assignment]
        warmturn.cli.background.start.launch = launch_in_background
    warmturn.__main__.main()


def _open_streams() -> None:
    """As Python makes them when it starts: a stream remembers whether its file was one to seek in."""
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _unbuffered(1, "strict")
    sys.stderr = _unbuffered(2, "backslashreplace")


def _unbuffered(descriptor: int, errors: str) -> TextIO:
    return io.TextIOWrapper(io.FileIO(descriptor, "w", closefd=False), errors=errors, write_through=True)


if __name__ == "__main__":
    gc.freeze()  # shared memory stays shared
    forking = Forking(socket.socket(fileno=int(sys.argv[1])))
    if (asked := forking.serve()) is not None:
        become(asked, forking.for_forks)
