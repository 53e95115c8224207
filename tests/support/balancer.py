"""A real HAProxy with the configuration that is shipped; only its addresses are the test's."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import httpx
from tests.support.http import local_client, local_get
from tests.support.programs import program
from tests.support.redis_server import free_port

CONFIG: Final = Path(__file__).parents[2] / "server" / "deploy" / "haproxy.cfg"
_START_SECONDS = 30


class Balancer:
    """`with Balancer(["http://127.0.0.1:4001", "http://127.0.0.1:4002"], folder) as balancer: balancer.client()`"""

    def __init__(self, servers: Sequence[str], folder: Path) -> None:
        self._program = program("haproxy")
        self._output = folder / "haproxy.txt"
        listen, figures = free_port(), free_port()
        self.base_url, self.figures_url = f"http://127.0.0.1:{listen}", f"http://127.0.0.1:{figures}"
        one, two = (urlsplit(server).netloc for server in servers)
        self.environment = {
            "BALANCER_LISTEN": f"127.0.0.1:{listen}",
            "BALANCER_METRICS_LISTEN": f"127.0.0.1:{figures}",
            "SERVER_ONE": one,
            "SERVER_TWO": two,
        }

    def client(self, timeout_seconds: float = 60) -> httpx.Client:
        return local_client(self.base_url, timeout_seconds)

    def figures(self) -> str:
        return local_get(f"{self.figures_url}/metrics").text

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                if local_get(f"{self.base_url}/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        self._end()
        raise AssertionError(f"haproxy was not ready:\n{self._output.read_text()}")

    def __enter__(self) -> Self:
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [self._program, "-db", "-f", CONFIG],
                env={**os.environ, **self.environment},
                stdout=output,
                stderr=output,
            )
        self._await_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
