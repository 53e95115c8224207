"""A program under a pseudo-terminal, as a person at a keyboard has it: Ctrl-C is a key, stdout may go elsewhere."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*(?:[a-zA-Z]|$)|\x1b[=>]|\x1b\][^\x07]*(?:\x07|$)|\x1b$")
"""Whole ones, and one of which only the beginning was read yet."""
CTRL_C, CTRL_D, ENTER, ALT_ENTER, TAB = "\x03", "\x04", "\r", "\x1b\r", "\t"


class Terminal:
    """`with Terminal([...], env) as terminal: terminal.type("hello"); terminal.wait_for("TTFT")`"""

    def __init__(self, command: list[str], environment: dict[str, str], stdout: Path | None = None) -> None:
        self._command = [sys.executable, "-c", _TAKE_TERMINAL, *command]
        self._environment = {**environment, "PROMPT_TOOLKIT_NO_CPR": "1"}
        self._stdout = stdout
        self._raw = b""
        self._searched = 0

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        stdout = theirs if self._stdout is None else os.open(self._stdout, os.O_CREAT | os.O_WRONLY)
        self.process = subprocess.Popen(
            self._command, stdin=theirs, stdout=stdout, stderr=theirs, env=self._environment, start_new_session=True
        )
        for descriptor in {theirs, stdout}:
            os.close(descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    @property
    def raw(self) -> str:
        return self._raw.decode(errors="replace")

    @property
    def screen(self) -> str:
        """All that was ever shown, without the escape sequences."""
        return self.plain(self.raw)

    @staticmethod
    def plain(text: str) -> str:
        return _ESCAPES.sub("", text)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, pattern: str, timeout: float = 30) -> re.Match[str]:
        """Waits until the pattern shows up after what earlier waits found."""
        deadline = time.monotonic() + timeout
        while True:
            if found := re.compile(pattern).search(self.screen, self._searched):
                self._searched = found.end()
                return found
            if not self._read(deadline):
                raise AssertionError(f"{pattern!r} did not show up:\n{self.screen}")

    def wait_until(self, shown: Callable[[], bool], timeout: float = 30) -> None:
        """Waits until what was shown makes it so."""
        deadline = time.monotonic() + timeout
        while not shown():
            if not self._read(deadline):
                raise AssertionError(f"it did not come to that:\n{self.screen}")

    def wait(self, timeout: float = 30) -> int:
        """The exit status, once the program has ended."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            pass
        return self.process.wait(max(deadline - time.monotonic(), 0.1))

    def _read(self, deadline: float) -> bool:
        """False when the program is gone or the time is up."""
        ready, _, _ = select.select([self._ours], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return False
        try:
            chunk = os.read(self._ours, 65536)
        except OSError:
            return False
        self._raw += chunk
        return bool(chunk)
