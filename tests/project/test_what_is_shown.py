"""What documents show to paste is pasted: in order, into a shell and into Python, beside a server started as shown."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.client.command import environment
from tests.project.conftest import ROOT
from tests.project.documents import DOCUMENTS, README, blocks, shell_lines, shell_lines_with_answers
from tests.support.redis_server import free_port

pytestmark = pytest.mark.slow

START: Final = 'echo "My cat is called Mirelo." | warmturn chat --start'
STOP: Final = "warmturn stop"
SHOWN_ADDRESS: Final = "http://127.0.0.1:8000"
TYPED: Final = "My cat is called Mirelo.\nWhat is my cat called?\n"

_ELSEWHERE: Final = "asks for a Redis at another address; tests/promises/test_moved.py has one of its own"
_CONTAINERS: Final = "needs a container engine; tests/deploy runs the parts as processes"
INSTALL: Final = "python3 -m venv .venv && . .venv/bin/activate && pip install -q -e '.[server,gguf]' && warmturn demo"
NOT_RUN: Final = {
    INSTALL: "installs; tests/client/cli/demo runs the demo",
    (ROOT / ".ci" / "test-command").read_text().strip(): "installs, and is what runs this",
    "warmturn bench": "takes minutes; tests/bench runs it with less load",
    "warmturn pull smollm2 && warmturn demo --model smollm2": (
        "downloads 98 MB; tests/server/pulling pulls from a folder of its own, tests/client/cli/demo runs what is there"
    ),
    "warmturn serve": "a server does not end by itself; tests/client/cli/test_serve.py starts it",
    "warmturn serve --model smollm2": "needs what was pulled; tests/server/engine/model/test_gguf.py serves such files",
    "warmturn serve --redis redis://10.0.0.5:6379/0 --log redis": _ELSEWHERE,
    "docker compose up --build": _CONTAINERS,
}


def _environment(home: Path, **variables: str) -> dict[str, str]:
    """An activated virtual environment, nothing of the developer's own, and as many threads as the server wants."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = environment(home, PATH=path, PYTHONUNBUFFERED="1", **variables)
    return {name: value for name, value in found.items() if not name.startswith("OMP_")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    """Of a server that was started, and is stopped, as the README shows; on a free port."""
    url = f"http://127.0.0.1:{free_port()}"
    variables = {"WARMTURN_URL": url, "WARMTURN_DATA_DIR": str(home / "data")}
    started = _paste(START, home, home, **variables)
    assert started.returncode == 0 and "a server runs at" in started.stderr, started.stderr
    try:
        yield url
    finally:
        stopped = _paste(STOP, home, home, **variables)
    assert stopped.returncode == 0 and "has ended" in stopped.stderr, stopped.stderr


def _paste(line: str, home: Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        input=TYPED,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env=_environment(home, **variables),
    )


def _name(document: Path) -> str:
    return str(document.relative_to(ROOT))


def test_every_line_that_is_not_run_is_shown_and_has_its_reason() -> None:
    shown = {line for document in DOCUMENTS for line in shell_lines(document)}
    assert {line for line in NOT_RUN if line not in shown} == set()
    assert {START, STOP} <= set(shell_lines(README))
    assert [
        path for path in re.findall(r"tests/[\w/.]+", " ".join(NOT_RUN.values())) if not (ROOT / path).exists()
    ] == []


def test_shell_lines_do_what_they_are_shown_for(url: str, home: Path, tmp_path: Path) -> None:
    """Each once, in the order of the documents: a conversation that one of them lists was had by one before."""
    shown: dict[str, list[str]] = {}
    for document in DOCUMENTS:
        for line, answers in shell_lines_with_answers(document):
            shown.setdefault(line, []).extend(answers)
    assert any(shown.values()), "an answer is quoted somewhere"
    for line in shown:
        if line == STOP or line in NOT_RUN:
            continue
        done = _paste(line, home, tmp_path, WARMTURN_URL=url)
        assert done.returncode == 0, (line, done.stderr)
        assert "Traceback" not in done.stderr, line
        for answer in shown[line]:
            assert answer in done.stdout, (line, done.stdout)


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_line_that_installs_leaves_the_environment_activated(shell: str, tmp_path: Path) -> None:
    """So that `warmturn` is found by the next line; what the line downloads and runs is left out."""
    without = 'pip() { :; }; warmturn() { :; }; python3() { command python3 "$@" --without-pip; }; '
    told = subprocess.run(
        [shell, "-c", f'{without}{INSTALL} && echo "$VIRTUAL_ENV" && command -v python'],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert told.stdout.split() == [f"{tmp_path}/.venv", f"{tmp_path}/.venv/bin/python"], told.stderr


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if blocks(path, "python")], ids=_name)
def test_python_examples_run(document: Path, url: str, home: Path) -> None:
    for example in blocks(document, "python"):
        assert SHOWN_ADDRESS in example
        program = example.replace(SHOWN_ADDRESS, url)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=_environment(home)
        )
        assert done.returncode == 0, (example, done.stderr)
        assert done.stdout.strip(), example
