"""`warmturn serve`: what it says when it is ready, which setting counts, and how it refuses to start."""

import json
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.client.command import Command, Done, environment
from tests.support.launch import Launch, Process, forked, fresh
from tests.support.models import TinyModels
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

Serve = tuple[Command, tuple[str, ...]]
READY = re.compile(r"Warmturn ready on (http://127\.0\.0\.1:\d+) \(model (\S+), float32, 1 threads?\)\n")


@dataclass(frozen=True)
class Serving:
    process: Process
    _stdout: Path
    _stderr: Path

    def line(self) -> str:
        """What it says first on stdout; empty if it ends without."""
        wait_until(lambda: self._said() or self.process.poll() is not None, "it says nothing", seconds=120)
        return self._said()

    def _said(self) -> str:
        return "".join(line for line in self._stdout.read_text().splitlines(keepends=True)[:1] if line.endswith("\n"))

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """By a signal: its exit code, and all that it wrote on stdout and stderr."""
        self.process.send_signal(number)
        return self.process.wait(60), self._stdout.read_text(), self._stderr.read_text()


@contextmanager
def serving(home: Path, *arguments: str, launch: Launch = forked, **variables: str) -> Iterator[Serving]:
    stdout, stderr = home / "stdout.txt", home / "stderr.txt"
    process = launch(["serve", "--threads", "1", *arguments], environment(home, **variables), stdout, stderr)
    try:
        yield Serving(process, stdout, stderr)
    finally:
        process.kill()
        process.wait(60)


def test_a_free_port_is_picked_and_told(tiny_models: TinyModels, tmp_path: Path) -> None:
    arguments = ("--model", str(tiny_models()), "--data-dir", str(tmp_path / "data"), "--port", "0")
    with serving(tmp_path, *arguments, "--dtype", "float32", launch=fresh) as server:
        ready = READY.fullmatch(server.line())
        assert ready, server.line()
        assert httpx.get(ready[1] + "/ready").json()["model"] == ready[2]
        code, stdout, stderr = server.end(signal.SIGTERM)
    assert (code, stdout) == (0, ready[0])
    assert stderr.splitlines() == [
        f"Warmturn: loading PyTorch, then {tiny_models()} ...",
        f"Warmturn: loading {tiny_models()} ...",
        f"Warmturn: comparing {ready[2]} with transformers' own computation ...",
        "Warmturn: measuring how fast this machine is ...",
    ]


def test_ctrl_c_ends_a_server_without_noise(tiny_models: TinyModels, tmp_path: Path) -> None:
    arguments = ("--model", str(tiny_models()), "--port", "0")
    with serving(tmp_path, *arguments, WARMTURN_DATA_DIR=str(tmp_path / "d")) as server:
        assert server.line()
        code, _, stderr = server.end(signal.SIGINT)
    assert code == 130
    assert "Traceback" not in stderr


def test_flags_go_before_the_environment(tiny_models: TinyModels, tmp_path: Path) -> None:
    from_environment: dict[str, Any] = {
        "WARMTURN_MODEL": str(tiny_models()),
        "WARMTURN_DATA_DIR": str(tmp_path / "data"),
        "WARMTURN_DTYPE": "bfloat16",
        "WARMTURN_PORT": "1",
        "WARMTURN_RAM_CACHE": "3MiB",
        "WARMTURN_DISK_CACHE": "5MiB",
    }
    flags = ("--dtype", "float32", "--port", "0", "--ram-cache", "7MiB", "--kv-memory", "11MiB", "--max-context", "64")
    with serving(tmp_path, *flags, **from_environment) as server:
        ready = READY.fullmatch(server.line())
        assert ready, server.line()
        figures = httpx.get(ready[1] + "/v1/stats").json()
    budgets = {name: tier["budget_bytes"] >> 20 for name, tier in figures["tiers"].items()}
    assert budgets == {"resident": 11, "ram": 7, "disk": 5}
    assert figures["context_length"] == 64
    assert (tmp_path / "data").is_dir()


def refused(done: Done) -> str:
    """Settings that could be, but not here: one line, exit code 1, nothing on stdout."""
    return _one_line(done, 1)


def misused(done: Done) -> str:
    """Settings that can be nowhere: the same with 2, as wherever else a flag is wrong."""
    return _one_line(done, 2)


def _one_line(done: Done, code: int) -> str:
    assert (done.code, done.stdout) == (code, "")
    assert len([line for line in done.stderr.splitlines() if not line.endswith(" ...")]) == 1, done.stderr
    return done.stderr


@pytest.fixture
def serve(tiny_models: TinyModels, tmp_path: Path) -> Serve:
    model, data_dir = str(tiny_models()), str(tmp_path / "data")
    return Command(tmp_path), ("serve", "--model", model, "--port", "0", "--data-dir", data_dir)


def test_a_taken_port(serve: Serve) -> None:
    command, arguments = serve
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        said = refused(command(*arguments, "--port", port))
    assert port in said
    assert "--port" in said


@pytest.mark.parametrize("host", ["not a host", "192.0.2.1"])
def test_a_host_that_is_not_ours(serve: Serve, host: str) -> None:
    command, arguments = serve
    assert host in refused(command(*arguments, "--host", host))


def test_a_data_folder_that_is_a_file(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command, arguments = serve
    assert "--data-dir" in refused(command(*arguments, "--data-dir", str(tmp_path / "file")))


def test_a_data_folder_that_another_server_has(serve: Serve, tmp_path: Path) -> None:
    command, arguments = serve
    with serving(tmp_path, *arguments[1:]) as server:
        assert "ready" in server.line()
        assert str(tmp_path / "data") in refused(command(*arguments))


def test_no_model(serve: Serve, tmp_path: Path) -> None:
    command, arguments = serve
    assert str(tmp_path / "none") in refused(command(*arguments, "--model", str(tmp_path / "none")))
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in refused(command(*arguments, "--model", str(tmp_path / "empty")))


def test_a_broken_model(serve: Serve, tmp_path: Path) -> None:
    command, arguments = serve
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text(json.dumps({"model_type": "llama"})[:-4])
    refused(command(*arguments, "--model", str(tmp_path / "broken")))


def test_a_model_with_other_state(serve: Serve, tiny_models: TinyModels) -> None:
    command, arguments = serve
    refused(command(*arguments, "--model", str(tiny_models("lfm2"))))


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--kv-memory", "lots"),
        ("--block-size", "0"),
        ("--threads", "-1"),
        ("--threads", "0"),
        ("--port", "70000"),
        ("--max-context", "0"),
        ("--control-rate", "2"),
    ],
)
def test_a_setting_that_cannot_be(serve: Serve, flag: str, value: str) -> None:
    command, arguments = serve
    assert f"{flag}: " in misused(command(*arguments, flag, value))


@pytest.mark.parametrize(
    ("name", "value"), [("BLOCK_SIZE", "many"), ("KV_MEMORY", "lots"), ("MAX_WAITING", "0"), ("LOG", "paper")]
)
def test_a_variable_that_cannot_be_is_named_as_one(serve: Serve, name: str, value: str) -> None:
    command, arguments = serve
    variable: dict[str, Any] = {f"WARMTURN_{name}": value}
    said = misused(command(*arguments, **variable))
    assert f"WARMTURN_{name}: " in said
    assert "--" not in said


def test_of_a_flag_and_its_variable_the_one_that_counts_is_named(serve: Serve) -> None:
    command, arguments = serve
    assert "--port: " in misused(command(*arguments, "--port", "70000", WARMTURN_PORT="abc"))
    assert "WARMTURN_PORT: " in misused(command("serve", WARMTURN_PORT="abc"))


def test_a_device_that_is_not_there(serve: Serve) -> None:
    command, arguments = serve
    assert "warp" in refused(command(*arguments, "--device", "warp:9"))


def test_a_shared_log_without_a_redis(serve: Serve) -> None:
    command, arguments = serve
    assert misused(command(*arguments, "--log", "redis")).startswith("warmturn: --log redis needs")
    nobody = refused(command(*arguments, "--log", "redis", "--redis", "redis://:word@127.0.0.1:1/0"))
    assert "127.0.0.1:1" in nobody and "--log sqlite" in nobody and "word" not in nobody
