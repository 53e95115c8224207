"""What the client's packages import of each other and of themselves, and what a plain command loads."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client.command import environment

ROOT = Path(__file__).parents[2] / "client"
PACKAGES = ("warmturn", "warmturn_bench")
LIBRARY = (
    *("client", "conversations", "errors", "format", "lookback", "own_server"),
    *("settings", "sse", "stream", "transport", "wire"),
)
"""What the load test may know of the client; its command alone also knows what all commands share."""
SHARED_BY_COMMANDS = ("warmturn.cli.console", "warmturn.cli.options", "warmturn.cli.signals")
MOST_PARAMETERS = 8
RECORDS = {"Circumstances", "DemoTurn", "ModeFigures", "Reply", "Sample", "Scenario", "Turn", "TurnReport"}
"""Rows and documents: they have as many fields as what they tell of, each filled by its name."""
BENCH, DEMO, SERVER = "warmturn_bench", "warmturn.cli.demo", "warmturn_server"


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imports(module: str) -> Iterator[str]:
    """Modules of ours that this one names in an import, in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(SOURCES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in SOURCES)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: say where from"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in SOURCES else str(node.module) for name in names if node.module in SOURCES)


def packages() -> list[str]:
    return sorted({module.rpartition(".")[0] for module in SOURCES} - {""})


def edges_in(package: str) -> dict[str, set[str]]:
    """Which of the things that lie in this package, modules and packages, import which others of them."""
    found: dict[str, set[str]] = {}
    for module in SOURCES:
        if inside := _inside(package, module):
            found.setdefault(inside, set()).update(filter(None, (_inside(package, name) for name in imports(module))))
    return {name: others - {name} for name, others in found.items()}


def _inside(package: str, module: str) -> str:
    if module == package:
        return "__init__"
    return module.removeprefix(f"{package}.").split(".")[0] if module.startswith(f"{package}.") else ""


def in_circles(edges: dict[str, set[str]]) -> set[str]:
    """What is left when all that imports nothing of the rest is taken away, again and again."""
    left = dict(edges)
    while free := [name for name, others in left.items() if not others & set(left)]:
        for name in free:
            del left[name]
    return set(left)


def test_a_circle_is_seen() -> None:
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": set()}) == set()
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"a", "b", "c"}


@pytest.mark.parametrize("package", packages())
def test_nothing_is_imported_in_a_circle(package: str) -> None:
    assert in_circles(edges_in(package)) == set()


def of(package: str, modules: set[str]) -> list[str]:
    return sorted(name for name in modules if name == package or name.startswith(f"{package}."))


def test_the_library_knows_nothing_of_the_command() -> None:
    library = [module for module in SOURCES if module.startswith("warmturn.") and module.count(".") == 1]
    assert sorted(library) == sorted(f"warmturn.{name}" for name in (*LIBRARY, "__main__", "cli"))
    for module in {*library, "warmturn"} - {"warmturn.__main__", "warmturn.cli"}:
        known = set(imports(module))
        assert [of(package, known) for package in ("warmturn.cli", BENCH)] == [[], []], module


def test_the_load_test_imports_only_the_library() -> None:
    allowed = {f"warmturn.{name}" for name in LIBRARY}
    for module in SOURCES:
        if of(BENCH, {module}):
            also = SHARED_BY_COMMANDS if module == f"{BENCH}.cli" else ()
            assert set(of("warmturn", set(imports(module)))) <= {*allowed, *also}, module


def test_only_the_list_of_commands_knows_the_load_test() -> None:
    knowing = [module for module in of("warmturn", set(SOURCES)) if of(BENCH, set(imports(module)))]
    assert knowing == ["warmturn.cli.app"]


_LOADED = """
import atexit, json, os, sys
answers = os.fdopen(os.dup(1), "w")
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=answers))
sys.argv = ["warmturn", *sys.argv[1:]]
sys.stdout = open(os.devnull, "w")
from warmturn.__main__ import main
main()
"""


def loaded(home: Path, *arguments: str, **variables: str) -> set[str]:
    """Modules that are there when the command ends."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(home, WARMTURN_URL="http://127.0.0.1:9", **variables),
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments", [("--help",), ("ask", "--help"), ("ask", "hi"), ("ls",), ("chat",), ("watch", "--once")], ids=" ".join
)
def test_plain_commands_load_neither_the_load_test_nor_the_demo_nor_the_server(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    _are_plain(loaded(tmp_path, *arguments))


def test_neither_does_completing_the_name_of_a_command(tmp_path: Path) -> None:
    _are_plain(loaded(tmp_path, _WARMTURN_COMPLETE="complete_bash", COMP_WORDS="warmturn be", COMP_CWORD="1"))


def _are_plain(modules: set[str]) -> None:
    assert of("warmturn.cli", modules)
    assert [of(package, modules) for package in (BENCH, DEMO, SERVER)] == [[], [], []]


def test_the_two_load_what_is_theirs_and_not_each_other(tmp_path: Path) -> None:
    bench, demo = loaded(tmp_path, "bench", "--help"), loaded(tmp_path, "demo", "--help")
    assert (bool(of(BENCH, bench)), of(DEMO, bench), of(SERVER, bench)) == (True, [], [])
    assert (of(BENCH, demo), bool(of(DEMO, demo)), of(SERVER, demo)) == ([], True, [])


def test_the_library_needs_httpx_and_to_find_its_settings_platformdirs() -> None:
    needed = {name: _others(SOURCES[f"warmturn.{name}"]) for name in LIBRARY}
    assert needed.pop("settings") == {"platformdirs"}
    assert set().union(*needed.values()) == {"httpx"}


def _others(path: Path) -> set[str]:
    """Packages that neither Python nor we bring along."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.add(node.module.split(".")[0])
    return named - {*sys.stdlib_module_names, *PACKAGES}


def constructors() -> Iterator[tuple[str, int]]:
    """Every class with a constructor of its own or as a dataclass, and how many values it is given."""
    for module, path in SOURCES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield f"{module}.{node.name}", _parameters(node)


def _parameters(node: ast.ClassDef) -> int:
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            taken = part.args
            return len(taken.posonlyargs) + len(taken.args) - 1 + len(taken.kwonlyargs) + (taken.vararg is not None)
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return sum(isinstance(part, ast.AnnAssign) for part in node.body)
    return 0


def test_nothing_takes_more_than_a_handful_to_make() -> None:
    many = {name: taken for name, taken in constructors() if taken > MOST_PARAMETERS}
    assert {name: taken for name, taken in many.items() if name.rpartition(".")[2] not in RECORDS} == {}
    assert {name.rpartition(".")[2] for name in many} == RECORDS, "no longer a long one: take it off the list"
