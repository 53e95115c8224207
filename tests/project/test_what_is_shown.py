"""What documents show to paste is pasted: in order, into a shell and into Python, beside a server started as shown."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.client.command import environment
from tests.project.conftest import ROOT
from tests.project.documents import DOCUMENTS, README, blocks, shell_lines

pytestmark = pytest.mark.slow

SERVE: Final = "warmturn serve"
SHOWN_ADDRESS: Final = "http://127.0.0.1:8000"
TYPED: Final = "My cat is called Mirelo.\nWhat is my cat called?\n"

_ELSEWHERE: Final = "asks for a Redis at another address; tests/promises/test_moved.py has one of its own"
_CONTAINERS: Final = "needs a container engine; tests/deploy runs the parts as processes"
NOT_RUN: Final = {
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[server]' && .venv/bin/warmturn demo": (
        "installs; tests/client/cli/demo runs the demo"
    ),
    (ROOT / ".ci" / "test-command").read_text().strip(): "installs, and is what runs this",
    "warmturn bench": "takes minutes; tests/bench runs it with less load",
    "warmturn pull smollm2": "downloads 94 MB; tests/server/pulling pulls from an index of its own",
    "warmturn serve --model smollm2": "needs what was pulled; tests/server/engine/model/test_gguf.py serves such files",
    "warmturn serve --exact": "a server does not end by itself; tests/promises/test_bit_exact.py runs its engine",
    "warmturn serve --redis redis://10.0.0.5:6379/0 --log redis": _ELSEWHERE,
    "docker compose up --build": _CONTAINERS,
}

_READY: Final = re.compile(r"Warmturn ready on (http://\S+)")
_START_SECONDS: Final = 120


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
    """Of a server that was started as the README shows, on a free port."""
    output = home / "serve.txt"
    with output.open("wb") as stdout:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {SERVE}"],
            stdout=stdout,
            stderr=subprocess.STDOUT,
            env=_environment(home, WARMTURN_PORT="0", WARMTURN_DATA_DIR=str(home / "data")),
        )
    try:
        yield _address(server, output)
    finally:
        server.terminate()
        server.wait(30)


def _address(server: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if ready := _READY.search(output.read_text()):
            return ready[1]
        time.sleep(0.02)
    raise AssertionError(f"the server did not become ready:\n{output.read_text()}")


def _name(document: Path) -> str:
    return str(document.relative_to(ROOT))


def test_every_line_that_is_not_run_is_shown_and_has_its_reason() -> None:
    shown = {line for document in DOCUMENTS for line in shell_lines(document)}
    assert {line for line in NOT_RUN if line not in shown} == set()
    assert SERVE in shell_lines(README)
    assert [
        path for path in re.findall(r"tests/[\w/.]+", " ".join(NOT_RUN.values())) if not (ROOT / path).exists()
    ] == []


def test_shell_lines_do_what_they_are_shown_for(url: str, home: Path, tmp_path: Path) -> None:
    """Each once, in the order of the documents: a conversation that one of them lists was had by one before."""
    shown = dict.fromkeys(line for document in DOCUMENTS for line in shell_lines(document))
    for line in shown:
        if line == SERVE or line in NOT_RUN:
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            input=TYPED,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env=_environment(home, WARMTURN_URL=url),
        )
        assert done.returncode == 0, (line, done.stderr)
        assert "Traceback" not in done.stderr, line


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
