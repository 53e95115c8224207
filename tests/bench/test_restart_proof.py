"""`warmturn bench --scenario restart --url`: real servers are restarted and caught, or cleared."""

import json
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.command import Command, environment
from tests.conftest import StartServer
from tests.support.redis_server import free_port
from tests.support.waiting import wait_until

from warmturn.errors import SettingsError
from warmturn_bench.options import LoadOptions, Options, ServerOptions, WorkloadOptions
from warmturn_bench.proof.answers import Answer, Prompt, difference

pytestmark = pytest.mark.slow

SMALL = ("--scenario", "restart", "--conversations", "2", "--turns", "3")
PROMPT = Prompt(0, 1, (), 8)
ROOT = Path(__file__).parents[2]
THIS, THERE = WorkloadOptions("restart"), ServerOptions("http://127.0.0.1:9")


class LittlePeer:
    """That of `tests.support.peer`, with the shell line that restarts it."""

    def __init__(self, folder: Path) -> None:
        self._state, self._pid = folder / "state.json", folder / "pid"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def restart_command(self) -> str:
        """It is started in the background, as a service manager would do it."""
        start = shlex.join([sys.executable, "-m", "tests.support.peer", str(self._state), str(self.port)])
        pid = shlex.quote(str(self._pid))
        return f"cd {shlex.quote(str(ROOT))}; kill -9 $(cat {pid}); {start} >/dev/null 2>&1 & echo $! > {pid}"

    def start(self, **wrongs: bool) -> None:
        self._state.write_text(json.dumps(wrongs))
        arguments = [sys.executable, "-m", "tests.support.peer", str(self._state), str(self.port)]
        self._first = subprocess.Popen(arguments, cwd=ROOT, env=environment(self._state.parent))
        self._pid.write_text(f"{self._first.pid}\n")

    def end(self) -> None:
        subprocess.run(["kill", "-9", self._pid.read_text().strip()], check=False, stderr=subprocess.DEVNULL)
        self._first.kill()
        self._first.wait()

    @property
    def starts(self) -> int:
        return int(json.loads(self._state.read_text())["starts"])


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[LittlePeer]:
    folder = tmp_path / "peer"
    folder.mkdir()
    peer = LittlePeer(folder)
    yield peer
    peer.end()


def proof(command: Command, peer: LittlePeer, *arguments: str, **wrongs: bool) -> tuple[int, dict[str, Any]]:
    peer.start(**wrongs)
    wait_for(peer.port)
    done = command(
        *("bench", *SMALL, "--url", peer.url, "--restart-command", peer.restart_command, "--json"), *arguments
    )
    assert peer.starts == 2, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return done.code, document


def wait_for(port: int) -> None:
    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_up, "the peer did not start")


def test_a_peer_that_answers_as_before(command: Command, peer: LittlePeer) -> None:
    code, document = proof(command, peer)
    assert (code, document["same_after_restart"], document["compared_by"]) == (0, True, "token")
    assert (document["prompts"], document["judged"], document["different"]) == (6, 6, 0)
    assert (document["scenario"], document["model"], document["url"]) == ("restart", "little", peer.url)
    assert document["run"]["command"].startswith("warmturn bench --scenario restart")


def test_one_that_answers_wrongly_after_its_restart_is_caught_token_by_token(
    command: Command, peer: LittlePeer
) -> None:
    code, document = proof(command, peer, wrong_after_restart=True)
    assert (code, document["same_after_restart"], document["different"]) == (1, False, 4)
    for found in document["differences"]:
        assert (found["at"], found["unit"], found["after"], found["turn"] > 1) == (3, "token", "zero ", True)
        assert found["common"] == "".join(f"{word} " for word in found["before_text"].split()[:3])
        assert found["before_logprob"] == -0.5


def test_by_its_texts_where_it_tells_no_tokens(command: Command, peer: LittlePeer) -> None:
    code, document = proof(command, peer, wrong_after_restart=True, no_logprobs=True)
    assert (code, document["compared_by"], document["different"]) == (1, "text", 4)
    assert {found["unit"] for found in document["differences"]} == {"character"}


def test_what_was_not_deterministic_before_is_told_and_not_judged(command: Command, peer: LittlePeer) -> None:
    code, document = proof(command, peer, moody=True)
    assert (code, document["not_deterministic_before"], document["judged"], document["different"]) == (0, 2, 4, 0)
    assert [found["turn"] for found in document["differences_before"]] == [1, 1]


def test_where_nothing_can_be_judged_nothing_is_proved(command: Command, peer: LittlePeer) -> None:
    code, document = proof(command, peer, "--turns", "1", moody=True)
    assert (code, document["judged"], document["same_after_restart"]) == (1, 0, False)
    assert any("nothing to judge" in note for note in document["run"]["notes"])


def test_a_prompt_that_fails_after_the_restart_is_not_the_same(command: Command, peer: LittlePeer) -> None:
    code, document = proof(command, peer, fails_after_restart=True)
    assert (code, document["failed"], document["different"]) == (1, 4, 0)
    assert "the state is broken" in document["failures"][0]["error"]


def test_our_own_server_restarted_by_hand(start_server: StartServer, command: Command) -> None:
    """What was saved before is used after: were it not, this would prove nothing."""
    server = start_server("--block-size", "8", "--port", str(free_port()))
    asked = ("bench", *SMALL, "--url", server.base_url)
    running = command_in_background(command, *asked)
    assert running.stdin is not None
    said = read_until(running, "press Enter")
    assert "press Enter" in said, said
    server.restart()
    running.stdin.write("\n")
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "6 of 6 answers are the same after the restart." in out
    assert "was not tried" not in out
    assert "Nobody saw" not in out


def command_in_background(command: Command, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "warmturn", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(command.home, PYTHONUNBUFFERED="1"),
    )


def read_until(running: subprocess.Popen[str], words: str) -> str:
    assert running.stderr is not None
    said = ""
    while words not in said and (character := running.stderr.read(1)):
        said += character
    return said


def test_nobody_there_to_restart_it_is_told(command: Command, peer: LittlePeer) -> None:
    peer.start()
    wait_for(peer.port)
    done = command("bench", *SMALL, "--url", peer.url)
    assert done.code == 2
    assert "--restart-command" in done.stderr


def test_ctrl_c_is_enough_where_somebody_is_asked_to_restart_it(command: Command, peer: LittlePeer) -> None:
    peer.start()
    wait_for(peer.port)
    running = command_in_background(command, "bench", *SMALL, "--url", peer.url)
    assert "press Enter" in read_until(running, "press Enter")
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=20) == 130
    _, err = running.communicate()
    assert "Traceback" not in err


def test_a_restart_that_fails_is_told(command: Command, peer: LittlePeer) -> None:
    peer.start()
    wait_for(peer.port)
    done = command("bench", *SMALL, "--url", peer.url, "--restart-command", "exit 7")
    assert done.code == 1
    assert "ended with 7" in done.stderr


@pytest.mark.parametrize(
    "asked",
    [
        Options(THIS, LoadOptions(rate=3.0), THERE),
        Options(THIS, LoadOptions(clients=2), THERE),
        Options(THIS, server=THERE, modes="state"),
        Options(THIS, server=THERE, ignore_eos=True),
        Options(WorkloadOptions("restart", duration=3.0), server=THERE),
        Options(WorkloadOptions("chat"), server=THERE, restart_command="true"),
        Options(THIS, restart_command="true"),
    ],
    ids=["rate", "clients", "modes", "eos", "duration", "chat", "own"],
)
def test_options_that_do_not_go_together_are_refused(asked: Options) -> None:
    with pytest.raises(SettingsError):
        asked.check()


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (Answer("ab", ("a", "b"), (-1.0, -2.0)), Answer("ab", ("a", "b"), (-1.5, -2.0)), None),
        (Answer("ab", ("a", "b"), (-1.0, -2.0)), Answer("ac", ("a", "c"), (-1.0, -3.0)), (1, "token", "b", "c", "a")),
        (Answer("ab", ("a", "b")), Answer("ab", ("ab",)), (0, "token", "a", "ab", "")),
        (Answer("ab", ("a", "b")), Answer("a", ("a",)), (1, "token", "b", None, "a")),
        (Answer("ab"), Answer("abc"), (2, "character", None, "c", "ab")),
        (Answer("ab"), Answer("ab", ("a", "b")), None),
        (Answer("hm", ("h",)), Answer("hi", ("h",)), (1, "character", "m", "i", "h")),
    ],
    ids=["same", "token", "cut", "sooner", "text", "told", "untold"],
)
def test_where_two_answers_part(before: Answer, after: Answer, found: tuple[object, ...] | None) -> None:
    parted = difference(PROMPT, before, after)
    seen = parted and (parted.at, parted.unit, parted.before, parted.after, parted.common)
    assert seen == found
