"""`warmturn ps` and `warmturn stop`: the servers that were started in the background."""

import signal
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from warmturn.cli.background.servers import Server, forget, is_running, looking, send, take_stock
from warmturn.cli.background.start import has_answered
from warmturn.cli.console import answer, answer_json, note, styled_console
from warmturn.cli.options import AsJson
from warmturn.client import Client
from warmturn.errors import SettingsError, WarmturnError

_LOOK_SECONDS: Final = 0.1
_READY_SECONDS: Final = 1.0
_HURRY_SECONDS: Final = 0.5


def ps(as_json: AsJson = False) -> None:
    """List the servers that `chat` and `ask` started in the background."""
    with looking() as folder:
        running, ended = take_stock(folder)
    if as_json:
        answer_json([asdict(server) for server in running])
        return
    for server in running:
        since = f"{datetime.fromtimestamp(server.started_at):%Y-%m-%d %H:%M}"
        answer(f"{server.pid}  {server.url}  {server.model}  since {since}  {_state(server)}  {server.log}")
    for server in ended:
        note(f"{server.pid} at {server.url} is gone; its log: {server.log}")
    if not running:
        note("no server runs in the background; `warmturn chat` and `warmturn ask` start one where none answers")


def stop(
    which: Annotated[
        list[str] | None, typer.Argument(metavar="PID|PORT", help="Which ones; default the only one.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Cut running turns short; they are kept as far as they came.")
    ] = False,
    seconds: Annotated[
        float, typer.Option("--wait", min=0, metavar="SECONDS", help="How long to wait for the end.")
    ] = 60.0,
) -> None:
    """End servers that run in the background: running turns go on for a while first, and state is saved."""
    with looking() as folder:
        running, _ = take_stock(folder)
    for server in running if all_ else _chosen(running, which or []):
        _end(server, now, seconds)


def _chosen(running: Sequence[Server], which: Sequence[str]) -> list[Server]:
    if which:
        return [_named(running, name) for name in dict.fromkeys(which)]
    if not running:
        raise WarmturnError("no server runs in the background; one that `warmturn serve` started ends with Ctrl-C")
    if len(running) > 1:
        raise SettingsError(f"there are {len(running)}: {_names(running)}; name one, or give --all")
    return list(running)


def _named(running: Sequence[Server], name: str) -> Server:
    found = [server for server in running if name in (str(server.pid), str(urlsplit(server.url).port), server.url)]
    if len(found) != 1:
        raise WarmturnError(f"no server in the background goes by {name}; there are: {_names(running) or 'none'}")
    return found[0]


def _names(running: Sequence[Server]) -> str:
    return ", ".join(f"{server.pid} at {server.url}" for server in running)


def _end(server: Server, now: bool, seconds: float) -> None:
    send(server, signal.SIGTERM)
    if now and not _ended(server, _HURRY_SECONDS):
        send(server, signal.SIGTERM)  # told again it does not wait for running turns
    with styled_console(stderr=True).status(f"[dim]{server.pid} ends its turns and saves what it has"):
        if not _ended(server, seconds):
            raise WarmturnError(
                f"{server.pid} has not ended yet: `warmturn stop --now {server.pid}` cuts its turns short, and "
                f"`kill -9 {server.pid}` costs state that is not saved yet"
            )
    forget(server)
    note(f"{server.pid} at {server.url} has ended")


def _ended(server: Server, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(server):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _state(server: Server) -> str:
    if not has_answered(server):
        return "starting"
    try:
        with Client(server.url, timeout=_READY_SECONDS) as client:
            return "ready" if client.ready() else "not ready"
    except WarmturnError:
        return "not answering"
