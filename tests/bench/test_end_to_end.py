"""`warmturn bench` on real server processes: every scenario, both loops, the document, what counts as failed."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.bench.document import check_document
from tests.client.command import Command
from tests.support.launch import forked
from tests.support.models import TinyModels
from tests.support.server import ServerProcess

pytestmark = pytest.mark.slow

SMALL = ("--conversations", "3", "--turns", "2")
TWO = ("--conversations", "2", "--turns", "2")


def bench(command: Command, *arguments: str, **variables: str) -> dict[str, Any]:
    done = command("bench", *arguments, "--json", timeout=240, **variables)
    assert done.code == 0, done.stderr + done.stdout
    document: dict[str, Any] = json.loads(done.stdout)
    check_document(document)
    return document


@pytest.mark.parametrize("scenario", ["chat", "long", "idle"])
def test_every_scenario_runs_in_every_mode(shared_server: ServerProcess, command: Command, scenario: str) -> None:
    document = bench(command, "--url", shared_server.base_url, "--scenario", scenario, *SMALL)
    assert document["scenario"] == scenario
    assert document["url"] == shared_server.base_url
    assert set(document["modes"]) == {"state", "prompt", "nothing"}
    for mode, figures in document["modes"].items():
        assert (figures["turns"], figures["errors"]) == (6, 0)
        assert (sum(figures["cached_tokens_by_tier"].values()) > 0) is (mode == "state")
        assert figures["prompt_tokens"] == document["modes"]["state"]["prompt_tokens"]
    assert document["same_answers"] == {"compared": 6, "same": 6, "promised": False}


def test_an_agents_steps_compute_results_and_no_more(tiny_models: TinyModels, command: Command, tmp_path: Path) -> None:
    model = tiny_models(template="qwen-coder")
    with ServerProcess(model, tmp_path / "data", "--control-rate", "0", launch=forked) as server:
        document = bench(command, "--url", server.base_url, "--scenario", "agent", *TWO, "--modes", "state,prompt")
    modes = document["modes"]
    for figures in modes.values():
        assert (figures["turns"], figures["errors"]) == (4, 0)
        assert figures["prompt_tokens"] == modes["state"]["prompt_tokens"]
    assert all(step["computed_tokens"] == step["prompt_tokens"] for step in modes["prompt"]["by_turn"])
    task, result = modes["state"]["by_turn"]
    grown = result["prompt_tokens"] - task["prompt_tokens"]
    assert 0 < result["computed_tokens"] < grown, "the call itself is there: it was generated"
    assert document["same_answers"]["same"] == 4


def test_a_model_that_knows_no_functions_has_no_agents(shared_server: ServerProcess, command: Command) -> None:
    done = command("bench", "--url", shared_server.base_url, "--scenario", "agent", "--json")
    assert (done.code, done.stdout) == (2, "")
    said = done.stderr.splitlines()[-1]
    assert said.startswith("warmturn: --scenario agent needs a model that calls functions, and ")
    assert f"at {shared_server.base_url} does not: " in said


def test_an_own_server_that_is_killed_half_way(tiny_models: TinyModels, command: Command, tmp_path: Path) -> None:
    arguments = ("--scenario", "restart", "--model", str(tiny_models()), "--dtype", "float32", *SMALL)
    document = bench(command, *arguments, TMPDIR=str(tmp_path))
    assert document["run"]["server_killed"] == 1
    assert document["modes"]["state"]["cached_tokens_by_tier"]["disk"] > 0
    assert document["same_answers"] == {"compared": 6, "same": 6, "promised": True}
    assert list(tmp_path.glob("warmturn-bench-*")) == []


def test_an_own_server_is_killed_half_way_through_a_duration_too(
    tiny_models: TinyModels, command: Command, tmp_path: Path
) -> None:
    arguments = ("--scenario", "restart", "--model", str(tiny_models()), "--modes", "state,prompt", "--duration", "2")
    document = bench(command, *arguments, "--conversations", "2", TMPDIR=str(tmp_path))
    assert document["run"]["server_killed"] == 1
    assert document["run"]["notes"] == [], "that a context ends at some time cuts nothing short that was asked for"


def test_more_conversations_than_memory_holds(tiny_models: TinyModels, command: Command, tmp_path: Path) -> None:
    arguments = ("--scenario", "idle", "--model", str(tiny_models()), "--modes", "state,prompt", "--turns", "2")
    document = bench(command, *arguments, TMPDIR=str(tmp_path))
    assert document["modes"]["state"]["cached_tokens_by_tier"]["disk"] > 0
    assert any("memory holds" in note for note in document["run"]["notes"])
