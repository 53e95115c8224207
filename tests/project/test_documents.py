"""What documents say, held to what is there: links, paths, settings, metrics, endpoints, fields."""

import dataclasses
import inspect
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from tests.project.conftest import ROOT
from tests.project.documents import DOCUMENTS, LONG_DOCUMENTS, README, blocks, fences, prose, section, shell_lines
from tests.support.server import ServerProcess

from warmturn.cli.serve import serve
from warmturn_server.engine_api import Miss, MissReason, TurnReport
from warmturn_server.settings import Settings

OPERATIONS: Final = ROOT / "server" / "OPERATIONS.md"
API: Final = ROOT / "server" / "API.md"
EVERY_DOCUMENT: Final = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))

_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_OURS: Final = re.compile(r"^(server|client|tests|\.ci|\.github)/[\w./-]+$")
_MODULE: Final = re.compile(r"python -m ((?:tests|warmturn\w*)[\w.]*)")


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_document_is_too_long_to_read() -> None:
    assert len(README.read_text().splitlines()) <= 150
    assert {path.name: n for path in LONG_DOCUMENTS if (n := len(path.read_text().splitlines())) >= 250} == {}


def test_every_document_is_known_here(tracked: set[str]) -> None:
    assert {name for name in tracked if name.endswith(".md")} == {str(path.relative_to(ROOT)) for path in DOCUMENTS}


@EVERY_DOCUMENT
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(prose(document)):
        if re.match("https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@EVERY_DOCUMENT
def test_paths_and_modules_that_are_named_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = [span for span in _SPAN.findall(text) if _OURS.match(span)]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [module for module in _MODULE.findall(text) if find_spec(module) is None] == []


@EVERY_DOCUMENT
def test_every_fence_says_what_is_in_it(document: Path) -> None:
    """What is to be pasted (sh, python) is run by `test_what_is_shown`; an answer or a picture is text."""
    assert {fence.language for fence in fences(document)} <= {"sh", "python", "json", "text"}


def test_the_readme_shows_the_test_command() -> None:
    assert (ROOT / ".ci" / "test-command").read_text().strip() in shell_lines(README)


def test_every_setting_is_described_and_nothing_else() -> None:
    first_cells = re.findall(r"^\|([^|]+)\|", section(OPERATIONS, "Settings"), re.MULTILINE)
    named = [name for cell in first_cells for name in re.findall(r"`WARMTURN_([A-Z_]+)`", cell)]
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_settings_that_are_no_flags_are_said_to_be_none() -> None:
    flags, variables = section(OPERATIONS, "Settings").split("Only as variables", 1)
    named = {name.lower() for name in re.findall(r"^\| `WARMTURN_([A-Z_]+)`", variables, re.MULTILINE)}
    assert named == set(Settings.model_fields) - set(inspect.signature(serve).parameters)
    assert "WARMTURN_KV_MEMORY" in flags


def test_defaults_are_those_of_the_settings() -> None:
    rows = re.findall(r"^\| `WARMTURN_([A-Z_]+)` \| `([^`]+)` \|", section(OPERATIONS, "Settings"), re.MULTILINE)
    assert len(rows) > 10
    for name, default in rows:
        given = Settings.model_validate({name.lower(): default})
        assert getattr(given, name.lower()) == Settings.model_fields[name.lower()].default, name


def test_every_metric_is_described_and_nothing_else(shared_server: ServerProcess) -> None:
    described = {
        f"warmturn_{name}"
        for cell in re.findall(r"^\| (`.+?) \|", section(OPERATIONS, "Metrics"), re.MULTILINE)
        for name in re.findall(r"`([a-z_]+)(?:\{[a-z_,]+\})?`", cell)
    }
    with shared_server.client() as client:
        exported = set(re.findall(r"^# TYPE (warmturn_\w+)", client.get("/metrics").text, re.MULTILINE))
    assert described == exported


def test_every_endpoint_is_described(shared_server: ServerProcess) -> None:
    with shared_server.client() as client:
        paths = set(client.get("/openapi.json").json()["paths"])
    assert {path for path in paths if path not in API.read_text()} == set()


def test_the_report_that_is_shown_has_the_fields_of_a_report() -> None:
    (shown,) = map(json.loads, blocks(API, "json"))
    of_the_prompt = ["tokens", "record_tokens", "dropped_items", "sampling"]
    assert list(shown) == [field.name for field in dataclasses.fields(TurnReport)] + of_the_prompt
    assert sorted(shown["miss"]) == sorted(field.name for field in dataclasses.fields(Miss))
    assert shown["saved_ms"] == round(shown["recompute_ms"] - shown["restore_ms"] - shown["prefill_ms"], 3)
    assert shown["prompt_tokens"] == shown["cached_tokens"] + shown["prefilled_tokens"]


def test_every_reason_for_a_miss_is_named() -> None:
    assert [reason.value for reason in MissReason if f"`{reason.value}`" not in API.read_text()] == []


def _in_tree(tree: str) -> list[str]:
    """Paths of a drawn tree: two spaces a level, the name first."""
    folders: list[str] = []
    paths = []
    for line in tree.splitlines():
        name = line.split()[0]
        level = (len(line) - len(line.lstrip())) // 2
        folders = [*folders[:level], name]
        paths.append("".join(folders))
    return paths


def test_the_code_is_as_it_is_drawn() -> None:
    (tree,) = [text for text in blocks(ROOT / "server" / "README.md", "text") if text.startswith("client/")]
    drawn = _in_tree(tree)
    assert [path for path in drawn if not (ROOT / path).exists()] == []
    packages = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "server/warmturn_server").rglob("__init__.py")}
    assert packages <= set(drawn)
