"""Starts a server in the background, and waits until it answers."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from rich.text import Text

from warmturn.cli.background.servers import Server, is_running, locked_file, looking, take_stock, write_down
from warmturn.cli.console import note, styled_console
from warmturn.cli.server_side import load_server_settings
from warmturn.errors import SettingsError, WarmturnError
from warmturn.own_server import READY

_LOG_NAME: Final = "server.log"
_MOST_LOG_BYTES: Final = 2**20
_LAST_LINES: Final = 12
_LOOK_SECONDS: Final = 0.1


def launch(command: Sequence[str], environment: Mapping[str, str], stdin: IO[str], log: IO[bytes]) -> int:
    """A process of its own session, which no Ctrl-C and no closed terminal reaches; its id."""
    return subprocess.Popen(command, stdin=stdin, stdout=log, stderr=log, env=environment, start_new_session=True).pid


def start(url: str, address: tuple[str, int], api_key: str | None) -> Server:
    """With the settings that the environment has for servers, on this address; the one that starts there already, if
    there is one. Raises `SettingsError` where its log cannot be written.
    """
    host, port = address
    settings = load_server_settings({"host": host, "port": port}, "serve")
    log_file = settings.data_dir.absolute() / _LOG_NAME
    with looking() as folder:
        running, _ = take_stock(folder)
        if starting := next((server for server in running if server.url == url), None):
            return starting
        with locked_file(folder) as file, _open_log(log_file) as log:
            beginning = os.fstat(log.fileno()).st_size
            command = [sys.executable, "-m", "warmturn", "serve", "--host", host, "--port", str(port)]
            pid = launch(command, _environment(api_key), file, log)
            server = Server(pid, url, str(settings.model), time.time(), str(log_file), beginning)
            write_down(server, file, folder)
    return server


def wait_until_ready(server: Server) -> None:
    """Raises `WarmturnError` with the end of its log if it ends before it is."""
    began = time.monotonic()
    with styled_console(stderr=True).status("") as status:
        while not READY.search(said := _said(server)):
            if not is_running(server):
                end = "\n".join(_said(server).strip().splitlines()[-_LAST_LINES:])
                raise WarmturnError(f"the server did not start; its log, {server.log}, ends so:\n{end}")
            status.update(Text(f"{_step(said)} {time.monotonic() - began:.0f} s", style="dim"))
            time.sleep(_LOOK_SECONDS)
    note(f"a server runs at {server.url} (process {server.pid}, model {server.model}); `warmturn stop` ends it")


def has_answered(server: Server) -> bool:
    """Whether it has been ready since it was started."""
    return bool(READY.search(_said(server)))


def _environment(api_key: str | None) -> dict[str, str]:
    """A client's key is its server's."""
    return {**os.environ, **({"WARMTURN_API_KEY": api_key} if api_key else {}), "PYTHONUNBUFFERED": "1"}


def _open_log(path: Path) -> IO[bytes]:
    """To be written on at its end; what grew too long goes aside, in the place of what did so before."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists() and path.stat().st_size > _MOST_LOG_BYTES:
            path.replace(path.with_name(f"{_LOG_NAME}.1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        raise SettingsError(f"cannot write the server's log {path}: {error.strerror}; set WARMTURN_DATA_DIR") from error
    return os.fdopen(descriptor, "ab")


def _said(server: Server) -> str:
    try:
        with Path(server.log).open("rb") as log:
            log.seek(server.log_start)
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def _step(said: str) -> str:
    """What it does, as it told last."""
    steps = [line for line in said.splitlines() if line.startswith("Warmturn: ")]
    return steps[-1].removeprefix("Warmturn: ") if steps else "starting a server ..."
