"""Where nobody listens, a server is offered: asked for at a terminal, taken by `--start`, and never in a pipe."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from warmturn.cli.background.servers import Server, looking, send, take_stock
from warmturn.cli.background.start import start, wait_until_ready
from warmturn.cli.console import note
from warmturn.cli.options import connect
from warmturn.client import Client
from warmturn.errors import ServerUnreachable, SettingsError
from warmturn.handling import uninterrupted
from warmturn.settings import ClientSettings, config_file, load_settings

Start = Annotated[
    bool | None,
    typer.Option(
        "--start/--no-start",
        help="Where no server runs, start one in the background, or do not; default is to ask at a terminal.",
        show_default=False,
    ),
]
_SERVES: Final = ("fastapi", "torch", "transformers", "uvicorn")
_CONNECT_SECONDS: Final = 2.0


@contextmanager
def connect_or_start(url: str | None, api_key: str | None, wanted: bool | None) -> Iterator[Client]:
    """As `connect`. Raises `ServerUnreachable` where nobody listens and none is to be started."""
    settings = load_settings({"url": url, "api_key": api_key}, os.environ, config_file())
    address = _own_address(settings.url)
    if address is not None and not _is_listening(address):
        _start(settings, address, wanted)
    with connect(url, api_key) as client:
        yield client


def _start(settings: ClientSettings, address: tuple[str, int], wanted: bool | None) -> None:
    url = _url(address)
    if (starting := _starting(url)) is not None:
        wait_until_ready(starting)
    elif wanted or (wanted is None and _agreed(url)):
        _start_and_wait(url, address, settings.api_key)
    else:
        raise ServerUnreachable(f"no server at {url}; start one with `warmturn serve`, or add --start{_needs()}")


def _start_and_wait(url: str, address: tuple[str, int], api_key: str | None) -> None:
    started: list[Server] = []
    try:
        with uninterrupted():
            started.append(start(url, address, api_key))
        wait_until_ready(*started)
    except KeyboardInterrupt:  # who does not want to wait for it does not want it
        for server in started:
            send(server, signal.SIGTERM)
        raise


def _agreed(url: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or _needs():
        return False
    model = os.environ.get("WARMTURN_MODEL") or "bundled"
    note(f"no server at {url}", style="")
    return typer.confirm(f"start one in the background, with model {model}?", default=True, err=True)


def _needs() -> str:
    missing = [name for name in _SERVES if find_spec(name) is None]
    return " (which needs more packages here: pip install 'warmturn[server]')" if missing else ""


def _starting(url: str) -> Server | None:
    """Where nothing can be written down, none is."""
    with suppress(SettingsError), looking() as folder:
        running, ended = take_stock(folder)
        for server in ended:
            note(f"the server in the background at {server.url} is gone; its log: {server.log}")
        return next((server for server in running if server.url == url), None)
    return None


def _own_address(url: str) -> tuple[str, int] | None:
    """Host and port that a server here can listen on; None for one elsewhere, and for what only a proxy can be."""
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    try:
        is_here = parts.scheme == "http" and ip_address(host).is_loopback and not parts.path
        return (host, parts.port or 80) if is_here else None
    except ValueError:  # a name, or a port that is none
        return None


def _url(address: tuple[str, int]) -> str:
    """Written in one way, however it was given."""
    host, port = address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_listening(address: tuple[str, int]) -> bool:
    """Whoever it is; and where that cannot be told, the request will."""
    try:
        socket.create_connection(address, timeout=_CONNECT_SECONDS).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True
