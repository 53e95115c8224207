"""Ways to restart a server that somebody else runs."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Thread

from warmturn.errors import SettingsError, WarmturnError

Restart = Callable[[], Awaitable[None]]

_STDIN = 0


def by_command(command: str) -> Restart:
    """A line for the shell. What it prints goes to stderr; it has to end by itself, and with 0."""

    async def restart() -> None:
        process = await asyncio.create_subprocess_shell(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        if code := await process.wait():
            raise WarmturnError(f"the command that was to restart the server ended with {code}: {command}")

    return restart


def by_hand(url: str) -> Restart:
    async def restart() -> None:
        print(f"Restart the server at {url} now, then press Enter: ", end="", file=sys.stderr, flush=True)
        if not await _typed():
            raise SettingsError("nobody is there to restart the server: give --restart-command")

    return restart


async def _typed() -> bytes:
    """Empty where nobody can type. It is read in a thread that nobody waits for at the end: Ctrl-C is enough."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[bytes] = loop.create_future()

    def tell(line: bytes) -> None:
        if not typed.done():
            typed.set_result(line)

    def read() -> None:
        line = b""
        with suppress(OSError):
            line = os.read(_STDIN, 4096)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, line)

    Thread(target=read, daemon=True).start()
    return await typed
