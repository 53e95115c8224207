"""The whole demo on real servers that are really killed, and how it compares replies."""

import json
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import httpx
import pytest
from rich.console import Console
from tests.client.command import WARMTURN, Command, environment
from tests.client.fake_server import response
from tests.conftest import StartServer
from tests.support.models import TinyModels
from tests.support.server import ServerProcess
from typer.testing import CliRunner

import warmturn_server.bundled
from warmturn import Client
from warmturn.cli.app import app
from warmturn.cli.demo import command as demo_command
from warmturn.cli.demo import run
from warmturn.cli.demo.allowance import Allowance
from warmturn.cli.demo.measure import Measured
from warmturn.cli.demo.result import DemoResult
from warmturn.cli.demo.run import Demo
from warmturn.cli.demo.script import BUNDLED_MODEL, GENERIC_SCRIPT, Line, bundled_script, script_for
from warmturn.cli.demo.view import View
from warmturn.wire import parse_turn


def test_an_answer_is_right_when_it_contains_what_is_expected() -> None:
    line = Line("What does my sister make?", ("Odile", "violin"))
    assert line.answered_by("ODILE makes violins.")
    assert not line.answered_by("She makes violins.")


def test_the_generic_script_tells_before_it_asks() -> None:
    assert len(GENERIC_SCRIPT) >= 12
    for number, line in enumerate(GENERIC_SCRIPT):
        told = " ".join(earlier.user for earlier in GENERIC_SCRIPT[:number]).casefold()
        assert all(word.casefold() in told for word in line.expect)


@pytest.mark.slow
def test_the_demo_on_a_real_server_that_is_really_killed(tiny_models: TinyModels, tmp_path: Path) -> None:
    """With a model that was pulled, by its name."""
    (tmp_path / "data" / "models").mkdir(parents=True)
    (tmp_path / "data" / "models" / "pulled").symlink_to(tiny_models())
    places = {"TMPDIR": str(tmp_path), "WARMTURN_DATA_DIR": str(tmp_path / "data")}
    done = Command(tmp_path)("demo", "--model", "pulled", "--json", timeout=280, **places)
    document = json.loads(done.stdout)
    assert done.code == 0, done.stderr
    assert document["model"] == "pulled"
    assert document["ok"] is True
    turns = document["turns"]
    assert len(turns) == len(GENERIC_SCRIPT)
    assert all(turn["same_tokens"] for turn in turns)
    assert all(turn["cached_tokens"] > 0.5 * turn["prompt_tokens"] for turn in turns[2:])
    assert all(turn["cached_tokens"] + turn["prefilled_tokens"] == turn["prompt_tokens"] for turn in turns)
    assert document["restart"]["after_turn"] == len(turns) // 2
    assert document["restart"]["tier"] == "disk"
    assert document["restart"]["cached_tokens"] == turns[len(turns) // 2]["cached_tokens"] > 0
    assert "kill -9" in done.stderr
    assert list(tmp_path.glob("warmturn-demo-*")) == []


@pytest.mark.slow
def test_the_demo_with_the_bundled_model(tmp_path: Path) -> None:
    done = Command(tmp_path)("demo", "--json", timeout=280, TMPDIR=str(tmp_path))
    document = json.loads(done.stdout)
    assert (done.code, document["ok"]) == (0, True), done.stderr
    assert document["recall"]["correct"] == document["recall"]["asked"] > 0
    assert len(document["turns"]) >= 14
    assert all(turn["same_tokens"] for turn in document["turns"])
    assert document["restart"]["tier"] == "disk"
    assert document["restart"]["same_tokens"] is True


def test_the_bundled_script_goes_with_the_bundled_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BUNDLED_MODEL == warmturn_server.bundled.NAME
    assert script_for(BUNDLED_MODEL) == bundled_script() != GENERIC_SCRIPT
    assert script_for("other") == GENERIC_SCRIPT
    monkeypatch.setitem(sys.modules, "warmturn_server", None)
    monkeypatch.setitem(sys.modules, "warmturn_server.bundled", None)
    assert script_for(BUNDLED_MODEL) == GENERIC_SCRIPT


@pytest.mark.slow
def test_the_demo_on_a_server_that_has_the_bundled_model(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beginning of its script, up to the second question, is enough."""
    server = start_server("--dtype", "bfloat16", model=Path("bundled"))
    questions = [number for number, line in enumerate(bundled_script()) if line.asks]
    monkeypatch.setattr(demo_command, "script_for", lambda model: script_for(model)[: questions[1] + 1])
    done = CliRunner().invoke(app, ["demo", "--url", server.base_url, "--json"])
    document = json.loads(done.stdout)
    assert document["model"] == BUNDLED_MODEL
    assert len(document["turns"]) == questions[1] + 1
    assert document["recall"] == {"asked": 2, "correct": 2}


@pytest.mark.slow
def test_a_server_that_computes_controls_in_place_breaks_nothing(
    start_server: StartServer, tiny_models: TinyModels, tmp_path: Path
) -> None:
    server = start_server("--control-rate", "1", "--control-mode", "replace", model=tiny_models())
    document = json.loads(Command(tmp_path)("demo", "--url", server.base_url, "--json", timeout=200).ok())
    assert document["turns"][1]["cached_tokens"] == 0
    assert document["ok"]


def test_a_model_beside_an_address_is_wrong_usage(tmp_path: Path) -> None:
    done = Command(tmp_path)("demo", "--url", "http://127.0.0.1:9", "--model", "bundled")
    assert (done.code, done.stdout) == (2, "")
    assert "--url" in done.stderr and "--model" in done.stderr


def _on_a_fake(line: Line) -> DemoResult:
    """One turn, on a server that says nothing of its own."""
    replies = {"/v1/conversations": {"id": "conv_1", "created_at": 1}, "/v1/stats": {"dtype": "float32"}}
    answer = httpx.MockTransport(lambda asked: httpx.Response(200, json=replies.get(asked.url.path, response("hi"))))
    view = View(Console(file=StringIO()))
    return Demo(Client("http://test", transport=answer), [line], None, view).run("m", recall_promised=False)


def test_a_mode_that_reuses_what_it_must_not_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(parse_turn(response("hi", output_token_ids=[1], cached_tokens=9)), 1.0, 2.0)
    monkeypatch.setattr(run, "measure", lambda *_, **__: measured)
    result = _on_a_fake(Line("hello"))
    assert list(result.broken_promises()) == [
        "turn 1: mode prompt reused 9 tokens, where it was to compute all of them",
        "turn 1: mode nothing reused 9 tokens, where it was to compute all of them",
    ]


@pytest.mark.parametrize(("said", "same"), [((1, 2), True), ((1, 3), False), ((1,), True)])
def test_a_reply_that_is_cut_short_is_compared_as_far_as_it_goes(
    monkeypatch: pytest.MonkeyPatch, said: tuple[int, ...], same: bool
) -> None:
    """One that is cut in the middle of a character has fewer tokens than were asked for."""

    def measured(*_: object, reuse: str, **__: object) -> Measured:
        ids, status = ((*said,), "incomplete") if reuse == "nothing" else ((1, 2, 4, 5), "completed")
        return Measured(parse_turn(response("hi", output_token_ids=ids, cached_tokens=0, status=status)), 1.0, 2.0)

    monkeypatch.setattr(run, "measure", measured)
    monkeypatch.setattr(Allowance, "tokens", lambda _: 2)
    (turn,) = _on_a_fake(Line("hello")).turns
    assert (turn.same_tokens, turn.left_out_tokens) == (same, 4 - len(said))


@pytest.mark.slow
def test_with_no_time_for_the_slowest_mode_its_beginnings_are_compared(
    shared_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_NOTHING_SECONDS", 0.0)
    monkeypatch.setattr(demo_command, "script_for", lambda _: GENERIC_SCRIPT[:4])
    document = json.loads(CliRunner().invoke(app, ["demo", "--url", shared_server.base_url, "--json"]).stdout)
    assert document["ok"] is True
    assert all(turn["left_out_tokens"] > 0 for turn in document["turns"][1:]), "the first reply is a word"


@pytest.mark.slow
def test_the_demo_on_somebody_elses_server(shared_server: ServerProcess, tmp_path: Path) -> None:
    command = Command(tmp_path, shared_server.base_url)
    before = command("ls", "--json").ok()
    document = json.loads(command("demo", "--url", shared_server.base_url, "--json", timeout=200).ok())
    assert document["restart"] is None
    assert document["ok"] is True
    assert command("ls", "--json").ok() == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_leaves_nothing_behind(tiny_models: TinyModels, tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        [*WARMTURN, "demo", "--model", str(tiny_models())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, TMPDIR=str(tmp_path), PYTHONUNBUFFERED="1"),
    ) as process:
        assert process.stdout is not None
        while " > " not in process.stdout.readline():
            assert process.poll() is None
        server = _children(process.pid)
        assert server
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else 128 + number)
    assert "Traceback" not in stderr
    assert not any(Path(f"/proc/{pid}").exists() for pid in server)
    assert list(tmp_path.glob("warmturn-demo-*")) == []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
