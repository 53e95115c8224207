"""`warmturn serve`: what it says when it is ready, which setting counts, and how it refuses to start."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.client.command import WARMTURN, Command, Done, environment
from tests.support.models import TinyModels

pytestmark = pytest.mark.slow

Serve = tuple[Command, tuple[str, ...]]
READY = re.compile(r"Warmturn ready on (http://127\.0\.0\.1:\d+) \(model (\S+), float32, 1 threads?\)\n")


@contextmanager
def serving(home: Path, *arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the line it says on stdout."""
    process = subprocess.Popen(
        [*WARMTURN, "serve", "--threads", "1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home, **variables),
    )
    with process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def test_a_free_port_is_picked_and_told(tiny_models: TinyModels, tmp_path: Path) -> None:
    arguments = ("--model", str(tiny_models()), "--data-dir", str(tmp_path / "data"), "--port", "0")
    with serving(tmp_path, *arguments, "--dtype", "float32") as (process, line):
        ready = READY.fullmatch(line)
        assert ready, line
        assert httpx.get(ready[1] + "/ready").json()["model"] == ready[2]
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (0, "")
    assert stderr.splitlines() == [
        f"Warmturn: loading PyTorch, then {tiny_models()} ...",
        f"Warmturn: loading {tiny_models()} ...",
        f"Warmturn: comparing {ready[2]} with transformers' own computation ...",
        "Warmturn: measuring how fast this machine is ...",
    ]


def test_ctrl_c_ends_a_server_without_noise(tiny_models: TinyModels, tmp_path: Path) -> None:
    with serving(
        tmp_path, "--model", str(tiny_models()), "--port", "0", WARMTURN_DATA_DIR=str(tmp_path / "d")
    ) as running:
        process, _ = running
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr


def test_flags_go_before_the_environment(tiny_models: TinyModels, tmp_path: Path) -> None:
    from_environment = {
        "WARMTURN_MODEL": str(tiny_models()),
        "WARMTURN_DATA_DIR": str(tmp_path / "data"),
        "WARMTURN_DTYPE": "bfloat16",
        "WARMTURN_PORT": "1",
        "WARMTURN_RAM_CACHE": "3MiB",
        "WARMTURN_DISK_CACHE": "5MiB",
    }
    flags = ("--dtype", "float32", "--port", "0", "--ram-cache", "7MiB", "--kv-memory", "11MiB", "--max-context", "64")
    with serving(tmp_path, *flags, **from_environment) as (_, line):
        ready = READY.fullmatch(line)
        assert ready, line
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
    with serving(tmp_path, *arguments[1:]) as (_, line):
        assert "ready" in line
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
