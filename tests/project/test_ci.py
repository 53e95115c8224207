"""What runs by itself: the CI script, the workflow around it, the hooks before a commit."""

import os
import re
import subprocess
import sys
from typing import Any

import yaml
from tests.project.conftest import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
HOOKS = ROOT / ".pre-commit-config.yaml"
COMMAND = (ROOT / ".ci" / "test-command").read_text()


def _steps() -> list[dict[str, str]]:
    jobs: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_the_workflow_is_one_and_runs_the_ci_script() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [step["run"] for step in _steps() if "run" in step] == [".ci/run"]


def test_actions_are_pinned_by_their_major_version() -> None:
    used = [step["uses"] for step in _steps() if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action)] == []


def test_the_ci_script_can_be_started_and_read_by_the_shell() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True).stderr == ""


def test_the_test_command_is_one_line_that_does_everything() -> None:
    assert COMMAND.count("\n") == 1
    done = [link.split()[0] for link in COMMAND.strip().split(" && ")]
    assert done[:2] == ["python3", ".venv/bin/pip"]
    assert {".venv/bin/ruff", ".venv/bin/mypy"} < set(done)
    assert done[-1] == ".venv/bin/pytest"


def test_hooks_are_links_of_the_test_command() -> None:
    assert subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", HOOKS]).returncode == 0
    repositories = yaml.safe_load(HOOKS.read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    entries = {hook["entry"] for hook in repositories[0]["hooks"]}
    assert entries < set(COMMAND.strip().split(" && "))
    assert {entry.split()[0] for entry in entries} == {".venv/bin/ruff", ".venv/bin/mypy"}
