"""The demo on real servers, one of which is really killed."""

import json
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.client.command import WARMTURN, Command, environment
from tests.conftest import StartServer
from tests.support.launch import launch_own_server
from tests.support.models import TinyModels
from tests.support.server import ServerProcess
from typer.testing import CliRunner, Result

from warmturn import own_server
from warmturn.cli.app import app
from warmturn.cli.demo import command as demo_command
from warmturn.cli.demo import run
from warmturn.cli.demo.script import GENERIC_SCRIPT, Line, bundled_script

pytestmark = pytest.mark.slow


def demonstrated(*arguments: str, code: int = 0) -> tuple[dict[str, Any], Result]:
    """The document, and all that was said."""
    done = CliRunner().invoke(app, ["demo", "--json", *arguments])
    assert done.exit_code == code, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["ok"] is (code == 0)
    return document, done


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the demo has its folder, and finds models; its server is a fork."""
    monkeypatch.setattr(own_server, "launch", launch_own_server)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("WARMTURN_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


def is_restarted_and_whole(document: dict[str, Any], script_length: int) -> None:
    turns, restart = document["turns"], document["restart"]
    assert len(turns) == script_length
    assert all(turn["same_tokens"] for turn in turns)
    assert all(turn["cached_tokens"] + turn["prefilled_tokens"] == turn["prompt_tokens"] for turn in turns)
    assert (restart["after_turn"], restart["tier"], restart["same_tokens"]) == (script_length // 2, "disk", True)
    assert restart["cached_tokens"] == turns[script_length // 2]["cached_tokens"] > 0


def test_the_conversation_goes_on_after_the_server_was_killed(
    tiny_models: TinyModels, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a model that was pulled, by its name; the beginning of its script is enough."""
    (home / "data" / "models").mkdir(parents=True)
    (home / "data" / "models" / "pulled").symlink_to(tiny_models())
    monkeypatch.setattr(demo_command, "GENERIC_SCRIPT", GENERIC_SCRIPT[:6])
    document, done = demonstrated("--model", "pulled")
    assert document["model"] == "pulled"
    is_restarted_and_whole(document, 6)
    assert all(turn["cached_tokens"] > 0.5 * turn["prompt_tokens"] for turn in document["turns"][2:])
    assert "kill -9" in done.stderr
    assert list(home.glob("warmturn-demo-*")) == []


def test_the_bundled_model_remembers_all_of_its_script(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole but for mode `nothing`, whose replies are compared as far as a few seconds go."""
    assert home
    monkeypatch.setattr(run, "_SECONDS", {"state": 1e6, "prompt": 1e6, "nothing": 1.0})
    document, _ = demonstrated()
    is_restarted_and_whole(document, len(bundled_script()))
    assert document["recall"]["correct"] == document["recall"]["asked"] > 0
    assert all(turn["left_out_tokens"]["prompt"] == 0 for turn in document["turns"])


def test_a_server_that_computes_controls_in_place_breaks_nothing(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server("--control-rate", "1", "--control-mode", "replace")
    monkeypatch.setattr(demo_command, "script_for", lambda _: GENERIC_SCRIPT[:3])
    document, _ = demonstrated("--url", server.base_url)
    assert document["turns"][1]["cached_tokens"] == 0


def conversations(server: ServerProcess) -> Sequence[str]:
    with server.client() as http:
        return [one["id"] for one in http.get("/v1/conversations").json()["data"]]


def test_on_somebody_elses_server_nothing_is_killed_and_nothing_left(
    shared_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no time for slow modes the beginnings of their replies are compared."""
    monkeypatch.setattr(run, "_SECONDS", {"state": 1e6, "prompt": 0.0, "nothing": 0.0})
    monkeypatch.setattr(demo_command, "script_for", lambda _: GENERIC_SCRIPT[:4])
    before = conversations(shared_server)
    document, done = demonstrated("--url", shared_server.base_url)
    assert document["restart"] is None
    assert conversations(shared_server) == before
    for turn in document["turns"][1:]:  # the first reply is a word
        left_out = turn["left_out_tokens"]
        assert turn["reply_tokens"] > left_out["nothing"] > left_out["prompt"] > 0
    assert "Compared: of " in done.stderr


def test_a_served_models_own_script_promises_what_it_asks_for(
    shared_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_of = []

    def script_for(model: str) -> tuple[Line, ...]:
        asked_of.append(model)
        return (Line("I have a zebra."), Line("What do I have?", ("zebra",)))

    monkeypatch.setattr(demo_command, "script_for", script_for)
    document, done = demonstrated("--url", shared_server.base_url, code=1)
    assert asked_of == [document["model"]]
    assert document["recall"] == {"asked": 1, "correct": 0}
    assert "BROKEN: 1 of 1 facts were not remembered" in done.stderr


def test_a_model_beside_an_address_is_wrong_usage(tmp_path: Path) -> None:
    done = Command(tmp_path)("demo", "--url", "http://127.0.0.1:9", "--model", "bundled")
    assert (done.code, done.stdout) == (2, "")
    assert "--url" in done.stderr and "--model" in done.stderr


def test_an_interrupted_demo_leaves_nothing_behind(tiny_models: TinyModels, tmp_path: Path) -> None:
    """Other signals end it in the same way: `test_signals.py`."""
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
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert not any(Path(f"/proc/{pid}").exists() for pid in server)
    assert list(tmp_path.glob("warmturn-demo-*")) == []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
