"""The public names, the tree of errors, and how little an import brings along."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import warmturn
from warmturn import ApiError, ProtocolError, ServerUnreachable, SettingsError, WarmturnError

HEAVY = ("torch", "transformers", "fastapi", "uvicorn", "pydantic_settings", "numpy", "warmturn_server")


def test_all_is_exactly_what_is_public() -> None:
    public = {name for name, value in vars(warmturn).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    assert set(warmturn.__all__) == public
    assert warmturn.__all__ == sorted(warmturn.__all__, key=lambda name: (not name.isupper(), name))


@pytest.mark.parametrize("error", [ApiError, ProtocolError, ServerUnreachable, SettingsError])
def test_every_error_is_a_warmturn_error(error: type[Exception]) -> None:
    assert issubclass(error, WarmturnError)


def test_imports_bring_no_heavy_package() -> None:
    modules = "warmturn, warmturn.cli.app, warmturn.cli.demo.run, warmturn_bench.cli"
    probe = f"import sys, {modules}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_commands_that_need_the_server_package_know_it() -> None:
    package = Path(warmturn.__file__).parent
    importers = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if _imports_server(path)}
    assert importers == {f"cli/{name}.py" for name in ("doctor", "models", "serve", "server_side", "upkeep")}


def _imports_server(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] == "warmturn_server" for name in names):
            return True
    return False
