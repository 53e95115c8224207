"""Every package that code imports is asked for by name, where it is needed and not only through others."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest
from tests.project.conftest import ROOT

OURS: Final = {"warmturn", "warmturn_bench", "warmturn_server", "warmturn_mini", "training", "tests"}
SERVES: Final = ROOT / "client/warmturn/cli/server_side.py"
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CLIENT: Final[list[str]] = PROJECT["dependencies"]
SERVER: Final[list[str]] = CLIENT + PROJECT["optional-dependencies"]["server"]
SOME: Final[list[str]] = [line for extra in ("gguf", "lora", "ray") for line in PROJECT["optional-dependencies"][extra]]
"""What takes some models, or some places to run."""
DEV: Final[list[str]] = SERVER + SOME + PROJECT["optional-dependencies"]["dev"]
OF_OTHERS: Final = {*(ROOT / "tests/clients").glob("*/talk.py")}
"""Each runs in an environment of its own, where its client is installed."""


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _imported(paths: list[Path]) -> dict[str, str]:
    """Imported names of others' packages, each with a file that does it."""
    found = {name: str(path.relative_to(ROOT)) for path in paths for name in _imports(path)}
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names and name not in OURS}


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def _asked_for(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[^A-Za-z0-9_.-]", line)[0]) for line in requirements}


def _undeclared(paths: list[Path], requirements: list[str]) -> dict[str, str]:
    distributions, asked_for = packages_distributions(), _asked_for(requirements)
    imported = _imported(paths)
    assert imported
    return {
        name: path
        for name, path in imported.items()
        if not {_normal(distribution) for distribution in distributions.get(name, [name])} & asked_for
    }


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_the_client_asks_for_what_it_imports() -> None:
    assert _undeclared([path for path in _modules("client") if path != SERVES], CLIENT) == {}


@pytest.mark.parametrize(
    ("paths", "requirements"),
    [
        ([SERVES], SERVER),
        (_modules("server/warmturn_server"), SERVER + SOME),
        (_modules("server"), DEV),
        ([path for path in _modules("tests") if path not in OF_OTHERS], DEV),
    ],
    ids=["serve", "server", "training", "tests"],
)
def test_the_extras_ask_for_what_is_imported(paths: list[Path], requirements: list[str]) -> None:
    assert _undeclared(paths, requirements) == {}


def test_nothing_is_asked_for_twice() -> None:
    for requirements in (CLIENT, *PROJECT["optional-dependencies"].values()):
        assert len(_asked_for(requirements)) == len(requirements)
