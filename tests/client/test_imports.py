"""What the client's packages import of each other and of themselves, and what a plain command loads."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.client.command import environment
from tests.support.sources import Sources, in_circles

ROOT = Path(__file__).parents[2] / "client"
PACKAGES = ("warmturn", "warmturn_bench")
LIBRARY = (
    *("client", "conversation_file", "conversations", "doubts", "errors", "format", "lookback"),
    *("handling", "own_server", "patience", "report"),
    *("savings", "settings", "sse", "stream", "transport", "wire"),
)
"""What the load test may know of the client; its command alone also knows what all commands share."""
SHARED_BY_COMMANDS = ("warmturn.cli.console", "warmturn.cli.options", "warmturn.cli.signals")
RECORDS = {
    "Circumstances",
    "DemoTurn",
    "Difference",
    "Miss",
    "ModeFigures",
    "Reply",
    "Sample",
    "Saved",
    "Scenario",
    "Turn",
    "TurnReport",
}
"""Rows and documents: they have as many fields as what they tell of, each filled by its name."""
BENCH, DEMO, SERVER = "warmturn_bench", "warmturn.cli.demo", "warmturn_server"


SOURCES = Sources(ROOT, *PACKAGES)


def test_a_circle_is_seen() -> None:
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": set()}) == set()
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"a", "b", "c"}


@pytest.mark.parametrize("package", SOURCES.packages)
def test_nothing_is_imported_in_a_circle(package: str) -> None:
    assert SOURCES.circle_in(package) == set()


def of(package: str, modules: set[str]) -> list[str]:
    return sorted(name for name in modules if name == package or name.startswith(f"{package}."))


def test_the_library_knows_nothing_of_the_command() -> None:
    library = [module for module in SOURCES.paths if module.startswith("warmturn.") and module.count(".") == 1]
    assert sorted(library) == sorted(f"warmturn.{name}" for name in (*LIBRARY, "__main__", "cli"))
    for module in {*library, "warmturn"} - {"warmturn.__main__", "warmturn.cli"}:
        known = set(SOURCES.imports(module))
        assert [of(package, known) for package in ("warmturn.cli", BENCH)] == [[], []], module


def test_the_load_test_imports_only_the_library() -> None:
    allowed = {f"warmturn.{name}" for name in LIBRARY}
    for module in SOURCES.paths:
        if of(BENCH, {module}):
            also = SHARED_BY_COMMANDS if module == f"{BENCH}.cli" else ()
            assert set(of("warmturn", set(SOURCES.imports(module)))) <= {*allowed, *also}, module


def test_only_the_list_of_commands_knows_the_load_test() -> None:
    knowing = [module for module in of("warmturn", set(SOURCES.paths)) if of(BENCH, set(SOURCES.imports(module)))]
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
    needed = {name: _others(SOURCES.paths[f"warmturn.{name}"]) for name in LIBRARY}
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


def test_nothing_takes_more_than_a_handful_to_make() -> None:
    """What takes more is a record; one that no longer does is to be taken off their list."""
    assert set(SOURCES.long_constructors()) == RECORDS
