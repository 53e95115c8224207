"""A real Prometheus with the configuration that is shipped; only its targets, files and pace are the test's."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
import yaml
from tests.support.http import local_get
from tests.support.programs import program
from tests.support.redis_server import free_port

CONFIG: Final = Path(__file__).parents[2] / "server" / "deploy" / "prometheus.yml"
_START_SECONDS = 60


class Prometheus:
    """`with Prometheus({"warmturn": urls, "balancer": [url]}, "key", folder) as prometheus: prometheus.ask("up")`"""

    def __init__(
        self, targets: Mapping[str, Sequence[str]], api_key: str, folder: Path, shipped: Path = CONFIG
    ) -> None:
        """Jobs without `targets` find their own."""
        self._program = program("prometheus")
        folder.mkdir(parents=True)
        self._folder, self._output = folder, folder / "prometheus.txt"
        key = folder / "key"
        key.write_text(api_key)
        config = yaml.safe_load(shipped.read_text().replace("/tmp/warmturn_api_key", str(key)))
        config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
        for job in config["scrape_configs"]:
            if job["job_name"] in targets:
                job["static_configs"] = [{"targets": [urlsplit(url).netloc for url in targets[job["job_name"]]]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._listen = f"127.0.0.1:{free_port()}"

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that the expression gives now; fails where Prometheus does not accept it."""
        url = f"http://{self._listen}/api/v1/query"
        answer = local_get(url, query=expression).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def await_up(self, count: int) -> None:
        """Until so many targets have been scraped."""
        self.await_that(f"count(up == 1) == {count}")

    def await_that(self, expression: str) -> None:
        """Until the expression gives anything."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                if self.ask(expression):
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"never {expression}:\n{self._output.read_text()[-4000:]}")

    def __enter__(self) -> Self:
        options: dict[str, object] = {
            "config.file": self._folder / "prometheus.yml",
            "storage.tsdb.path": self._folder / "data",
            "web.listen-address": self._listen,
        }
        with self._output.open("wb") as output:
            command = [str(self._program), *(f"--{name}={value}" for name, value in options.items())]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
