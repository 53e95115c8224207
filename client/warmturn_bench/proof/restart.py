"""Ways to restart a server that somebody else runs."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable

from warmturn.errors import SettingsError, WarmturnError

Restart = Callable[[], Awaitable[None]]


def by_command(command: str) -> Restart:
    """A line for the shell. What it prints goes to stderr; it has to end by itself, and with 0."""

    async def restart() -> None:
        done = await asyncio.to_thread(
            subprocess.run, command, shell=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
        )
        if done.returncode:
            raise WarmturnError(f"the command that was to restart the server ended with {done.returncode}: {command}")

    return restart


def by_hand(url: str) -> Restart:
    async def restart() -> None:
        print(f"Restart the server at {url} now, then press Enter: ", end="", file=sys.stderr, flush=True)
        if not await asyncio.to_thread(sys.stdin.readline):
            raise SettingsError("nobody is there to restart the server: give --restart-command")

    return restart
