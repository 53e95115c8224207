"""Servers in the background: offered, started, listed, stopped, and never taken for somebody else's process."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.client.command import Command, Done, environment
from tests.client.terminal import CTRL_C, ENTER, Terminal
from tests.support.models import TinyModels
from tests.support.redis_server import free_port
from tests.support.waiting import wait_until

GREEDY = ("--temperature", "0", "--max-tokens", "4")

WITH_A_FAKE = """
import subprocess, sys
from warmturn.cli.background import start

def launch(command, environment, stdin, log):
    code = "import sys, time; print('Warmturn: loading a fake ...', flush=True); time.sleep(60)"
    return subprocess.Popen([sys.executable, "-c", code], stdin=stdin, stdout=log, stderr=log).pid

start.launch = launch
from warmturn.__main__ import main
main()
"""


class Place:
    """A home, a data folder and a port of their own, for commands that may start a server."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.home, self.data_dir = folder, folder / "data"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.variables = {"WARMTURN_MODEL": str(model), "WARMTURN_DATA_DIR": str(self.data_dir)}

    def __call__(self, *arguments: str, url: str | None = None, **more: Any) -> Done:
        return Command(self.home, url or self.url)(*arguments, **{**self.variables, **more})

    def running(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("ps", "--json").ok())
        return found


@pytest.fixture
def place(tmp_path: Path, tiny_models: TinyModels) -> Iterator[Place]:
    place = Place(tmp_path, tiny_models())
    yield place
    place("stop", "--all", "--now").ok()


def is_alive(pid: int) -> bool:
    """Not even as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_server_is_started_listed_used_and_stopped(place: Place) -> None:
    done = place("ask", "hello", "--start", *GREEDY)
    assert done.ok().strip()
    (server,) = place.running()
    assert f"process {server['pid']}, model {server['model']}" in done.stderr
    assert (server["url"], server["model"]) == (place.url, place.variables["WARMTURN_MODEL"])
    log = place.data_dir / "server.log"
    assert Path(server["log"]) == log and "ready on" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.data_dir.stat().st_mode) == 0o700
    assert place("chat", *GREEDY, stdin="hello\n").ok().strip(), "nobody is asked where a server answers"
    assert [other["pid"] for other in place.running()] == [server["pid"]]
    shown = place("ps").ok()
    assert f"{server['pid']}  {place.url}" in shown and "  ready  " in shown and str(log) in shown
    assert f"{server['pid']} at {place.url} has ended" in place("stop").stderr
    assert not is_alive(server["pid"])
    listed = place("ps")
    assert (listed.ok(), "no server runs in the background" in listed.stderr) == ("", True)
    assert "gone" not in listed.stderr, "whoever stopped it knows"


@pytest.mark.slow
def test_two_that_want_one_at_the_same_moment_share_it(place: Place) -> None:
    assert place.running() == []
    with ThreadPoolExecutor(2) as two:
        answers = [*two.map(lambda said: place("ask", said, "--start", *GREEDY).ok(), ("hello", "hi"))]
    assert all(answer.strip() for answer in answers)
    assert len(place.running()) == 1


@pytest.mark.slow
def test_one_that_fails_shows_the_end_of_its_log_and_one_that_was_killed_is_told_of_once(place: Place) -> None:
    place("ask", "hello", "--start", *GREEDY).ok()
    refused = place("ask", "hello", "--start", url=f"http://127.0.0.1:{free_port()}")
    assert (refused.code, refused.stdout) == (1, "")
    assert "did not start" in refused.stderr and f"another server uses {place.data_dir}" in refused.stderr
    assert "ready on" not in refused.stderr, "what another one wrote is not its end"
    place("ps").ok()
    (server,) = place.running()
    os.kill(server["pid"], signal.SIGKILL)
    told = f"{server['pid']} at {place.url} is gone; its log: {server['log']}"
    wait_until(lambda: told in place("ps").stderr, "it still has its lock")
    assert told not in place("ps").stderr


def written_down(place: Place, pid: int) -> Path:
    """As a server left it that was killed."""
    folder = place.home / ".local" / "state" / "warmturn" / "servers"
    folder.mkdir(parents=True)
    file = folder / f"{pid}.json"
    known = {"pid": pid, "url": place.url, "model": "m", "started_at": 0.0, "log": "none", "log_start": 0}
    file.write_text(json.dumps(known))
    return file


@pytest.mark.parametrize("arguments", [("stop",), ("stop", "--all"), ("ps",)], ids=" ".join)
def test_a_process_that_has_a_dead_servers_number_is_left_alone(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        place = Place(tmp_path, tmp_path)
        file = written_down(place, other.pid)
        place(*arguments)
        assert other.poll() is None
        assert not file.exists()
        other.kill()


def test_the_one_to_stop_is_named_where_there_are_several(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path)
    nothing = place("stop")
    assert (nothing.code, "no server runs in the background" in nothing.stderr) == (1, True)
    assert place("stop", "--all").ok() == ""
    assert place("stop", "77").code == 1


def test_in_a_pipe_nobody_is_asked(tmp_path: Path) -> None:
    for arguments in (("ask", "hi"), ("ask", "hi", "--no-start"), ("chat",), ("chat", "--no-start")):
        done = Command(tmp_path)(*arguments, stdin="hello\n")
        assert (done.code, done.stdout) == (3, "")
        assert "warmturn serve" in done.stderr and "--start" in done.stderr


def test_a_server_elsewhere_is_not_started_here(tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:9/below", "https://127.0.0.1:9"):
        done = Command(tmp_path)("ask", "hi", "--start", "--url", url)
        assert done.code == 3 and "--start" not in done.stderr


def test_at_a_terminal_it_is_offered_and_told_how_far_it_is(tmp_path: Path) -> None:
    home = environment(
        tmp_path, WARMTURN_URL=f"http://localhost:{free_port()}", WARMTURN_DATA_DIR=str(tmp_path / "data")
    )
    for how in ("n", CTRL_C):
        with Terminal([sys.executable, "-c", WITH_A_FAKE, "ask", "hello"], home) as terminal:
            terminal.wait_for(r"no server at http://127.0.0.1:\d+\s+start one in the background, with model bundled\?")
            terminal.type("n" + ENTER if how == "n" else ENTER)
            if how == CTRL_C:
                terminal.wait_for(r"loading a fake \.\.\. \d+ s")
                terminal.type(CTRL_C)
            assert terminal.wait() == (3 if how == "n" else 130)
    gone = "who does not wait for it does not want it"
    wait_until(lambda: json.loads(Command(tmp_path)("ps", "--json").ok()) == [], gone)


STRUCK = """
import signal, subprocess, sys
from warmturn.cli.background import start

def launch(command, environment, stdin, log):
    made = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=stdin, stdout=log, stderr=log)
    print(made.pid, flush=True)
    signal.raise_signal(signal.SIGINT)
    return made.pid

start.launch = launch
from warmturn.__main__ import main
main()
"""


def test_one_that_is_just_being_made_when_ctrl_c_comes_is_ended_too(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path)
    home = environment(tmp_path, WARMTURN_URL=place.url, **place.variables)
    asked = [sys.executable, "-c", STRUCK, "ask", "hello", "--start"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, env=home, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (130, False), done.stderr
    wait_until(lambda: not is_alive(int(done.stdout)), "nobody knew of it")
