"""The direction of imports, and what must not be imported at all."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from tests.client.command import environment
from tests.support.server import ServerProcess

from warmturn import Client

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "server" / "warmturn_server"
TRAINING = ROOT / "server" / "training" / "warmturn_mini"
CLIENT = ROOT / "client" / "warmturn"
BENCH = ROOT / "client" / "warmturn_bench"

LAYERS = ("api", "chat", "engine", "kvcache", "engine_api")
"""From the top down: each may import those after it."""
HEAVY = {"torch", "transformers", "tokenizers", "numpy", "fastapi", "uvicorn", "safetensors"}
OF_SERVERS = ("doctor.py", "models.py", "serve.py", "server_side.py", "upkeep.py")
"""Commands of the client that need the server's packages."""
NEVER = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "jsonpickle"}


def modules(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found, folder
    return found


def module_name(path: Path) -> str:
    for root in (ROOT / "server", ROOT / "client"):
        if path.is_relative_to(root):
            return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    raise AssertionError(path)


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Full names of everything that a module imports; `from x import y` counts as `x.y`."""
    tree = ast.parse(path.read_text())
    for node in _outside_functions(tree) if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{_origin(path, node)}.{alias.name}" for alias in node.names)


def _origin(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module_name(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """What runs on import; `if TYPE_CHECKING:` does not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _outside_functions(child)


def of_package(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_import_downwards_only(layer: str) -> None:
    above = LAYERS[: LAYERS.index(layer)]
    for path in modules(SERVER / layer):
        for name in imports(path):
            for forbidden in above:
                assert not of_package(name, f"warmturn_server.{forbidden}"), f"{path} imports {name}"


@pytest.mark.parametrize("layer", LAYERS)
def test_settings_and_composition_stay_at_the_root(layer: str) -> None:
    for path in modules(SERVER / layer):
        for name in imports(path):
            for root in ("settings", "build", "serve", "metrics"):
                assert not of_package(name, f"warmturn_server.{root}"), f"{path} imports {name}"


def test_only_the_engine_knows_transformers_models() -> None:
    outside = [path for layer in ("api", "chat", "kvcache") for path in modules(SERVER / layer)]
    for path in outside:
        for name in imports(path):
            assert not of_package(name, "transformers") or "Tokenizer" in name, f"{path} imports {name}"


def test_only_the_engine_and_the_state_know_torch() -> None:
    for layer in ("api", "chat"):
        for path in modules(SERVER / layer):
            assert not [name for name in imports(path) if of_package(name, "torch")], path


def test_the_client_never_imports_the_server_or_torch() -> None:
    """Only commands that are the server's do, when they are called."""
    for path in modules(CLIENT) + modules(BENCH):
        top = {name.split(".")[0] for name in imports(path, top_level_only=True)}
        assert not top & (HEAVY | {"warmturn_server"}), path
        everything = {name.split(".")[0] for name in imports(path)}
        assert not everything & HEAVY, path
        assert "warmturn_server" not in everything or path.name in OF_SERVERS, path


def test_the_server_never_imports_the_client() -> None:
    for path in modules(SERVER):
        for package in ("warmturn", "warmturn_bench"):
            assert not [name for name in imports(path) if of_package(name, package)], path


@pytest.mark.slow
def test_nothing_is_ever_unpickled() -> None:
    """The trainer of the bundled model may read its own checkpoints, as tensors only; the server has no part in it."""
    for path in modules(SERVER) + modules(CLIENT) + modules(BENCH) + modules(TRAINING):
        assert not {name.split(".")[0] for name in imports(path)} & NEVER, path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                if path != TRAINING / "train.py":
                    assert ast.unparse(node) not in ("torch.load", "torch.save", "torch.jit.load"), path
                assert node.attr != "allow_pickle", path
            if isinstance(node, ast.keyword):
                assert node.arg != "allow_pickle", path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), path


_ONLY_THE_CLIENT = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(HEAVY | {"warmturn_server", "pydantic_settings", "redis"})!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv = ["warmturn", *sys.argv[1:]]
import warmturn
from warmturn.__main__ import main
main()
"""


def _run_without(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """In a process in which nothing of the server extra can be imported."""
    command = [sys.executable, "-c", _ONLY_THE_CLIENT, *arguments]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment(home), check=False
    )


def test_the_client_runs_where_the_server_cannot(tmp_path: Path) -> None:
    helped = _run_without("--help", home=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert "serve" in helped.stdout
    served = _run_without("serve", home=tmp_path)
    assert served.returncode not in (0, None)
    assert "warmturn[server]" in served.stderr
    assert "Traceback" not in served.stderr


@pytest.mark.slow
def test_the_client_talks_where_the_server_cannot_be_installed(shared_server: ServerProcess, tmp_path: Path) -> None:
    with Client(shared_server.base_url) as client:
        kept = client.conversations.create(metadata={"title": "thin"}).id
        greedy = ("--temperature", "0", "--max-tokens", "6")
        asked = _run_without("ask", "hello", *greedy, "--url", shared_server.base_url, home=tmp_path)
        answer = client.respond("hello", temperature=0.0, max_output_tokens=6, store=False).text
    assert (asked.returncode, asked.stdout) == (0, answer + "\n"), asked.stderr
    listed = _run_without("ls", "--url", shared_server.base_url, home=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.startswith(f"{kept}\t")


def test_installing_the_client_installs_nothing_of_the_server() -> None:
    """What is installed besides an extra's packages."""
    required = [line for line in requires("warmturn") or () if "extra ==" not in line]
    names = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() for line in required}
    assert "httpx" in names
    assert not names & (HEAVY | {"pydantic-settings", "redis", "prometheus-client"})
