"""A server of our own: a real process that can be killed and comes back on the same port and folder."""

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import IO, Self

from warmturn.errors import WarmturnError
from warmturn.handling import uninterrupted
from warmturn.settings import models_folder

READY = re.compile(r"ready on (http://\S+:(\d+))")
_STDERR_LINES = 12


def launch(command: Sequence[str], environment: Mapping[str, str], stderr: IO[str]) -> subprocess.Popen[str]:
    """A process beside this one, with a pipe for what it prints."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=environment,
        start_new_session=True,  # a Ctrl-C is ours to handle
    )


class OwnServer:
    """Nothing of it outlives the `with` block: the process is killed, for its folder is thrown away as well.

    `options` are flags of `warmturn serve`, such as `("--dtype", "float32")`.
    """

    def __init__(self, model: str, folder: Path, *options: str) -> None:
        self.url = ""
        self.options = options
        self._model = model
        self._data_dir = folder / "data"
        self._stderr = folder / "server.stderr"
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when the server answers; a second start takes the same port and folder again."""
        self._share_models()
        with self._stderr.open("w") as stderr, uninterrupted():
            self._process = process = launch(self._command(), _environment(), stderr)
        assert process.stdout is not None
        self.url, self._port = self._await_ready(process.stdout)
        Thread(target=deque, args=(process.stdout, 0), daemon=True).start()

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _command(self) -> list[str]:
        serve = [sys.executable, "-m", "warmturn", "serve", "--model", self._model, *self.options]
        return [*serve, "--port", str(self._port), "--data-dir", str(self._data_dir)]

    def _share_models(self) -> None:
        """What was pulled for the servers of this machine is there for this one too."""
        self._data_dir.mkdir(mode=0o700, exist_ok=True)
        link = self._data_dir / "models"
        if not link.is_symlink():
            link.symlink_to(models_folder().absolute())

    def _await_ready(self, stdout: IO[str]) -> tuple[str, int]:
        for line in stdout:
            if ready := READY.search(line):
                return ready[1], int(ready[2])
        self.kill()
        said = self._stderr.read_text(errors="replace").strip().splitlines()[-_STDERR_LINES:]
        raise WarmturnError("the server did not start:\n" + "\n".join(said))


def _environment() -> dict[str, str]:
    """Without settings meant for another server; our own folder, port and key must not be overridden."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WARMTURN_")}
    return {**kept, "PYTHONUNBUFFERED": "1"}
