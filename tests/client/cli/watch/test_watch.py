"""`warmturn watch` on a real server: at a terminal, in a pipe, and while the server goes and comes back."""

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from tests.client.command import WARMTURN, Command, environment
from tests.client.terminal import CTRL_C, Terminal
from tests.conftest import StartServer
from tests.support.redis_server import free_port
from tests.support.server import ServerProcess

HOME, LEAVE = "\x1b[H", "\x1b[?1049l"
QUICK = ("--interval", "0.2")


def watching(home: Path, url: str, *options: str) -> Terminal:
    return Terminal([*WARMTURN, "watch", *QUICK, *options], environment(home, WARMTURN_URL=url, COLUMNS="", LINES=""))


def turn(server: ServerProcess, **options: object) -> None:
    with server.client() as http:
        http.post("/v1/responses", json={"input": "hello", "max_output_tokens": 4, **options}).raise_for_status()


def frames(terminal: Terminal) -> list[list[str]]:
    """The screens that were drawn, each as its lines. The terminal itself shows a key for Ctrl-C."""
    drawn = terminal.raw.split(LEAVE)[0].replace("^C", "").split(HOME)[1:]
    return [[line.rstrip() for line in Terminal.plain(frame).split("\r\n")] for frame in drawn]


def test_figures_are_redrawn_in_place(shared_server: ServerProcess, tmp_path: Path) -> None:
    with watching(tmp_path, shared_server.base_url) as terminal:
        terminal.resize(80, 24)
        before = int(terminal.wait_for(r"(\d+) done")[1])
        turn(shared_server)
        terminal.wait_for(rf"{before + 1} done")
        terminal.wait_for(r"state +[\d.]+ m?s")
        terminal.type(CTRL_C)
        assert terminal.wait() == 0
        *_, last = frames(terminal)
    assert any(line.startswith("generated") for line in last)
    assert len(last) <= 24
    assert all(len(frame) <= 24 and max(map(len, frame)) <= 80 for frame in frames(terminal))
    assert f"{before + 1} done" in terminal.raw.split(LEAVE)[1], "the last figures stay when the screen is left"


def test_a_window_may_change_its_size(shared_server: ServerProcess, tmp_path: Path) -> None:
    with watching(tmp_path, shared_server.base_url, "--interval", "600") as terminal:

        def fits(columns: int, rows: int) -> bool:
            return all(len(frame) <= rows and max(map(len, frame)) <= columns for frame in frames(terminal)[-1:])

        terminal.resize(100, 30)
        terminal.wait_for("misses")
        terminal.resize(40, 8)
        terminal.wait_until(lambda: fits(40, 8))
        terminal.type(CTRL_C)
        assert terminal.wait() == 0
        assert frames(terminal)
        assert fits(40, 8)


def test_a_server_may_go_and_come_back(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("--port", str(free_port()))
    with watching(tmp_path, server.base_url) as terminal:
        terminal.resize(120, 30)
        terminal.wait_for("0 done")
        server.kill()
        terminal.wait_for(r"no answer since \d\d:\d\d:\d\d")
        server.start()
        terminal.wait_for(r"restarted \d\d:\d\d:\d\d", timeout=60)
        turn(server)
        terminal.wait_for("1 done")
        assert not any(
            line.startswith(("computed", "generated")) and "-" in line for frame in frames(terminal) for line in frame
        )


def test_a_signal_to_end_gives_the_terminal_back(shared_server: ServerProcess, tmp_path: Path) -> None:
    with watching(tmp_path, shared_server.base_url) as terminal:
        terminal.wait_for("generated")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.wait() == 128 + signal.SIGTERM
    assert LEAVE in terminal.raw


def test_once_has_the_rates_of_one_interval(shared_server: ServerProcess, tmp_path: Path) -> None:
    command = Command(tmp_path, shared_server.base_url)
    printed = command("watch", "--once", *QUICK).ok()
    assert re.search(r"^computed +0 ", printed, re.MULTILINE)
    assert "\x1b" not in printed
    told = json.loads(command("watch", "--once", "--json", *QUICK).ok())
    assert told["rates"] == {"tokens_prefilled": 0.0, "tokens_generated": 0.0, "turns": 0.0}


@pytest.mark.parametrize("as_json", [True, False])
def test_a_pipe_gets_a_piece_each_interval(shared_server: ServerProcess, tmp_path: Path, as_json: bool) -> None:
    command = [*WARMTURN, "watch", *QUICK, *(["--json"] if as_json else [])]
    home = environment(tmp_path, WARMTURN_URL=shared_server.base_url)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=home)
    assert process.stdout
    if as_json:
        first = json.loads(process.stdout.readline())
        assert (first["up"], first["rates"]["turns"]) == (True, None)
        turn(shared_server)
        while json.loads(process.stdout.readline())["totals"]["turns"] == first["totals"]["turns"]:
            pass
    else:
        assert sum("done" in process.stdout.readline() for _ in range(60)) >= 2
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "")


def test_the_figures_are_those_of_stats(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    for mode in ("state", "state", "prompt"):
        turn(server, reuse=mode)
    told = json.loads(Command(tmp_path, server.base_url)("watch", "--once", "--json", *QUICK).ok())
    with server.client() as http:
        stats = http.get("/v1/stats").json()
    for name in ("totals", "saved_seconds", "misses", "running", "waiting", "instance"):
        assert told[name] == stats[name]
    assert told["ttft_ms"]["prompt"] == stats["by_reuse"]["prompt"]["ttft_ms"]
    prompt_tokens = stats["totals"]["prompt_tokens"]
    assert told["hit_share"] == {name: n / prompt_tokens for name, n in stats["prompt_tokens_by_source"].items()}
