"""What `warmturn doctor` finds: on a machine that will do, and where something will not."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.client.command import Command
from tests.support.models import TinyModels
from tests.support.redis_server import RedisServer

from warmturn_server.doctor import Finding, examine
from warmturn_server.settings import Settings


def found(tmp_path: Path, **settings: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(Settings(**{"data_dir": tmp_path / "data", **settings}))}


def bad(findings: dict[str, Finding]) -> dict[str, str]:
    return {finding.name: finding.advice or "" for finding in findings.values() if finding.verdict == "problem"}


def test_a_machine_that_will_do(tmp_path: Path, redis_server: RedisServer) -> None:
    findings = found(tmp_path, redis=redis_server.url, kv_memory=2**24, ram_cache=2**24)
    assert not bad(findings)
    assert "llama, 8 M parameters, context of 4,096 tokens" in findings["model"].value
    assert "answers in" in findings["redis"].value
    assert not (tmp_path / "data").exists(), "nothing is changed"


@pytest.mark.parametrize(
    ("settings", "name", "advice"),
    [
        ({"kv_memory": 2**50}, "memory", "lower them"),
        ({"redis": "redis://127.0.0.1:1"}, "redis", "start it"),
        ({"log_reserve": 2**60}, "disk", "make room"),
        ({"device": "cuda"}, "accelerator", "--device cpu"),
    ],
)
def test_what_will_not_work(tmp_path: Path, settings: dict[str, Any], name: str, advice: str) -> None:
    problems = bad(found(tmp_path, **settings))
    assert advice in problems[name]


def test_more_threads_than_processors_are_slow(tmp_path: Path) -> None:
    finding = found(tmp_path, threads=512)["processors"]
    assert finding.verdict == "slow" and "--threads" in (finding.advice or "")


def test_a_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "data folder" in bad(found(tmp_path, data_dir=tmp_path / "file"))


def test_models_that_are_refused_or_not_here(tmp_path: Path, tiny_models: TinyModels) -> None:
    assert "conv" in bad(found(tmp_path, model=str(tiny_models("lfm2"))))["model"]
    assert "fetched when the server starts" in found(tmp_path, model="somebody/something")["model"].value


def test_the_command(tmp_path: Path) -> None:
    command = Command(tmp_path)
    findings = json.loads(command("doctor", "--data-dir", str(tmp_path / "data"), "--json").ok())
    assert {"torch", "memory", "commits", "model"} <= {finding["name"] for finding in findings}
    refused = command("doctor", "--data-dir", str(tmp_path / "data"), "--redis", "redis://127.0.0.1:1")
    assert refused.code == 1 and "! redis" in refused.stdout and "no answer" in refused.stdout
