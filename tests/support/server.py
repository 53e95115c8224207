"""A real `warmturn serve` process: started, killed and started again on the same data folder."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from tests.support.device import DEVICE, EXECUTOR
from tests.support.http import local_client
from tests.support.launch import IMPORTED_WITH, Launch, Process, forked

_READY = re.compile(r"Warmturn ready on (http://\S+)")
_START_SECONDS = 120


def _environment() -> dict[str, str]:
    """This process's environment without settings of ours that would leak into the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WARMTURN_")}
    return {**kept, **IMPORTED_WITH, "WARMTURN_CONTROL_RATE": "0"}


class ServerProcess:
    """`with ServerProcess(model, data_dir) as server: httpx.get(server.base_url + "/health")`

    `environment` adds settings. `launch=fresh` where a process that imported nothing before is what is tested.
    """

    def __init__(
        self,
        model: Path,
        data_dir: Path,
        *options: str,
        environment: dict[str, str] | None = None,
        launch: Launch = forked,
    ) -> None:
        self.model, self.data_dir, self.options, self._launch = model, data_dir, options, launch
        self.base_url = ""
        self._environment = {**_environment(), **(environment or {})}
        self._process: Process | None = None
        data_dir.mkdir(parents=True, exist_ok=True)
        self._stdout = data_dir.parent / f"{data_dir.name}.stdout.txt"
        self._stderr = data_dir.parent / f"{data_dir.name}.stderr.txt"

    def arguments(self) -> list[str]:
        serve = ["serve", "--model", str(self.model), "--port", "0"]
        computing = ["--device", str(DEVICE), "--dtype", "float32", "--threads", "1", "--executor", EXECUTOR]
        return [*serve, "--data-dir", str(self.data_dir), *computing, *self.options]

    def start(self) -> Self:
        self._await_ready(self.launch())
        return self

    def launch(self) -> Process:
        """Start, and do not wait until it is ready."""
        self._process = self._launch(self.arguments(), self._environment, self._stdout, self._stderr)
        return self._process

    def _await_ready(self, process: Process) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if ready := _READY.search(self.stdout()):
                self.base_url = ready[1]
                return
            if (status := process.poll()) is not None:
                raise AssertionError(f"the server ended with {status} before it was ready:\n{self.stderr()}")
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the server was not ready after {_START_SECONDS} s:\n{self.stderr()}")

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: nothing is flushed."""
        self._end(signal.SIGKILL, timeout_seconds=10)

    def terminate(self, timeout_seconds: float = 30) -> int:
        """SIGTERM; the exit status."""
        return self._end(signal.SIGTERM, timeout_seconds)

    def restart(self) -> Self:
        """SIGTERM and a new start on the same data folder."""
        self.terminate()
        return self.start()

    def _end(self, signal_number: int, timeout_seconds: float) -> int:
        assert self._process is not None, "the server was not started"
        if self._process.poll() is None:
            self._process.send_signal(signal_number)
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            raise AssertionError(f"the server did not end within {timeout_seconds} s:\n{self.stderr()}") from None

    def client(self, timeout_seconds: float = 60) -> httpx.Client:
        return local_client(self.base_url, timeout_seconds)

    def stdout(self) -> str:
        return self._stdout.read_text(errors="replace") if self._stdout.exists() else ""

    def stderr(self) -> str:
        """The last lines that the server wrote, of all its starts."""
        return self._stderr.read_text(errors="replace")[-8_000:] if self._stderr.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.kill()
