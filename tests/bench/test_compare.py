"""`warmturn bench --compare`: two results of the same load beside each other, and no others."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.bench.making import recording, result
from tests.client.command import Command

from warmturn.errors import SettingsError
from warmturn_bench.compare.difference import Comparison, compare
from warmturn_bench.compare.document import read_document
from warmturn_bench.compare.view import in_words, sentences
from warmturn_bench.report import folder
from warmturn_bench.sample import Recording, Sample

Change = Callable[[dict[str, Any]], object]


def slower(sample: Sample) -> Sample:
    """Saved state by 3 ms and a bit of noise; the others by noise alone that is gone on average."""
    assert sample.ttft_ms is not None
    noise = sample.asked.conversation - 2.5
    return replace(sample, ttft_ms=sample.ttft_ms + (3 + noise / 10 if sample.asked.mode == "state" else noise))


def written(file: Path, made: Recording, change: Change = lambda _: None) -> Path:
    content = json.loads(json.dumps(result(made).as_dict()))
    change(content)
    file.write_text(json.dumps(content))
    return file


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return written(tmp_path / "first.json", recording())


@pytest.fixture
def second(tmp_path: Path) -> Path:
    made = recording()
    made.samples = [slower(sample) for sample in made.samples]
    return written(tmp_path / "second.json", made, lambda content: content["run"]["machine"].update(cores=4))


def compared(first: Path, second: Path) -> Comparison:
    return compare(read_document(first), read_document(second))


def test_differences_have_intervals_and_what_may_be_chance_is_called_none(first: Path, second: Path) -> None:
    found = compared(first, second)
    said = {(one.mode, one.measured): in_words(one) for one in found.differences}
    assert said["state", "ttft_ms"] == "3.0 ms later (2.9 ms to 3.1 ms)"
    assert said["prompt", "ttft_ms"].startswith("no clear difference (")
    assert said["state", "e2e_ms"] == "no clear difference (0.0 ms sooner to 0.0 ms later)"
    assert "Not the same either: machine cores 2 and 4." in list(sentences(found))
    back = {(one.mode, one.measured): in_words(one) for one in compared(second, first).differences}
    assert back["state", "ttft_ms"] == "3.0 ms sooner (2.9 ms to 3.1 ms)"


def test_only_what_both_runs_held_to_the_same_turn_counts(first: Path, tmp_path: Path) -> None:
    cut = recording()
    cut.samples = [one for one in cut.samples if (one.asked.conversation, one.asked.turn) != (0, 4)]
    found = compared(first, written(tmp_path / "cut.json", cut))
    assert found.conversations == {"state": 5, "prompt": 5, "nothing": 5}
    assert found.left_out == 1
    assert {one.milliseconds for one in found.differences} == {0.0}


def test_few_conversations_have_no_interval(tmp_path: Path) -> None:
    two = written(tmp_path / "two.json", recording(conversations=2))
    found = compared(two, two)
    assert {in_words(one) for one in found.differences} == {"0.0 ms later; too few conversations to tell"}
    assert found.as_dict()["differences"][0]["ci95"] is None


def test_folders_of_reports_are_compared_too(tmp_path: Path, second: Path) -> None:
    made = recording()
    folder.prepare(tmp_path / "report")
    folder.write(tmp_path / "report", result(made), made)
    assert compared(tmp_path / "report", second).first.path == tmp_path / "report" / "result.json"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda content: content.update(scenario="long"), "different loads (scenario: chat and long)"),
        (lambda content: content["run"].update(seed=2), "different loads (seed: 1 and 2)"),
        (lambda content: content["run"].update(load="open loop"), "different loads (load: closed loop, 2 clients and"),
        (lambda content: content.update(modes={}), "no conversation in the same mode"),
        (lambda content: content.pop("run"), "is no result of this version"),
        (lambda content: content["modes"]["state"].pop("conversations"), "is no result of this version"),
    ],
    ids=["scenario", "seed", "load", "modes", "another document", "an older one"],
)
def test_unlike_runs_are_refused(first: Path, tmp_path: Path, change: Change, complaint: str) -> None:
    other = written(tmp_path / "other.json", recording(), change)
    with pytest.raises(SettingsError) as refused:
        compared(first, other)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "cannot read"), ("{", "is no result"), ("[]", "is no result")]
)
def test_what_is_no_result_is_refused(first: Path, tmp_path: Path, content: str | None, complaint: str) -> None:
    other = tmp_path / "other.json"
    if content is not None:
        other.write_text(content)
    with pytest.raises(SettingsError, match=complaint):
        compared(first, other)


@pytest.mark.slow
def test_the_command_compares_and_runs_nothing(command: Command, first: Path, second: Path) -> None:
    done = command("bench", "--compare", str(first), str(second), "--json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["differences"][0]["difference_ms"] == 3.0
    assert "no clear difference" in command("bench", "--compare", str(first), str(second)).stdout
    refused = command("bench", "--compare", str(first), str(second), "--clients", "3")
    assert (refused.code, refused.stdout) == (2, "")
    assert "--compare reads two results and runs nothing: leave --clients out" in refused.stderr
