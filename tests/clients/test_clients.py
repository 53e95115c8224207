"""Clients as people install them, unmodified, on a real server: what each of them sees."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from tests.clients.environments import HERE, Client
from tests.support.programs import program
from tests.support.server import ServerProcess

from warmturn_server import bundled

CLIENTS: Final = sorted(path.parent.name for path in HERE.glob("*/talk.*"))
DOCUMENT: Final = (HERE.parents[1] / "server" / "CLIENTS.md").read_text(encoding="utf-8")
IN_EVERY_RUN: Final = ("ai", "openai_js")
VARIABLE: Final = "WARMTURN_TESTS_CLIENTS"
FACT: Final = "My cat is called Mirelo."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(Path("bundled"), tmp_path_factory.mktemp("clients") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def plain(server: ServerProcess) -> dict[str, Any]:
    """The reply to the fact, asked for without any client."""
    with server.client() as http:
        said: dict[str, Any] = http.post("/v1/responses", json={"input": FACT, "temperature": 0}).json()
    return {"text": said["output"][0]["content"][0]["text"], **said["usage"]}


@pytest.mark.slow
@pytest.mark.clients
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CLIENTS)
def test_all_that_it_does_works(name: str, server: ServerProcess, plain: dict[str, Any]) -> None:
    client = Client(name)
    if name not in IN_EVERY_RUN and os.environ.get(VARIABLE) not in ("all", name):
        pytest.skip(f"{VARIABLE}={name} installs it, once")
    if not client.is_python:
        program("npm")
    seen = client.talk(f"{server.base_url}/v1", bundled.NAME)
    assert {feature: told for feature, told in seen.items() if not _is_right(feature, told, plain)} == {}
    assert set(seen) == set(_tried(name))


@pytest.mark.parametrize("name", CLIENTS)
def test_the_document_shows_what_is_tried_and_with_which_version(name: str) -> None:
    (line,) = (line for line in DOCUMENT.splitlines() if line.startswith(f"| `{name}`"))
    _, _, version, *cells = (cell.strip() for cell in line.strip("|").split("|"))
    shown = [kinds for (kinds, _), cell in zip(_COLUMNS.items(), cells, strict=True) if cell == "yes"]
    assert version in _locked(name)
    assert shown == [kinds for kinds, features in _COLUMNS.items() if features.intersection(_tried(name))]
    assert set(_tried(name)) <= set().union(*_COLUMNS.values())


def _tried(name: str) -> list[str]:
    """The features that its script tells of."""
    (script,) = (path.read_text(encoding="utf-8") for path in (HERE / name).glob("talk.*"))
    told = script[script.rindex("tell(") :]
    return re.findall(r"^ +(\w+)(?:,|:)", told, re.MULTILINE) or re.findall(r"\w+", told)[1:]


def _locked(name: str) -> str:
    (locked,) = (path for path in (HERE / name).iterdir() if path.name in ("requirements.txt", "package-lock.json"))
    return locked.read_text(encoding="utf-8")


def _is_right(feature: str, told: Any, plain: Mapping[str, Any]) -> bool:
    is_right = next(check for ending, check in _CHECKS.items() if feature.endswith(ending))
    return "failed" not in told and is_right(told, plain)


def _is_said(told: str, plain: Mapping[str, Any]) -> bool:
    return bool(told == plain["text"])


def _is_streamed(told: Mapping[str, Any], plain: Mapping[str, Any]) -> bool:
    """The same in several pieces, and what it took is told at the end."""
    used = [next(value for key, value in told["usage"].items() if key in names) for names in (_INPUT, _OUTPUT)]
    is_told = used == [plain["input_tokens"], plain["output_tokens"]]
    return is_told and told["text"] == plain["text"] and told["pieces"] not in (0, 1)


def _is_remembered(told: Mapping[str, Any], plain: Mapping[str, Any]) -> bool:
    """The second turn goes on from the first one's tokens: what was said is known, and all of it is reused."""
    had = plain["input_tokens"] + plain["output_tokens"] - 1
    return "Mirelo" in told["text"] and had <= told["cached"] < told["input"]


def _has_form(told: Mapping[str, Any], _: Mapping[str, Any]) -> bool:
    return set(told) == {"name", "alive"} and told["name"] in ("Mirelo", "Luno") and isinstance(told["alive"], bool)


def _is_called(told: Mapping[str, Any], plain: Mapping[str, Any]) -> bool:
    """With arguments of the schema; what follows goes on from the call as it was written."""
    goes_on = told["had"] - 1 <= told["cached"] < told["input"]
    return told["name"] == "keep" and _has_form(told["given"], plain) and goes_on and bool(told["text"])


def _is_counted(told: Mapping[str, Any], plain: Mapping[str, Any]) -> bool:
    return bool(told["counted"] == told["used"] == plain["input_tokens"])


def _is_refused(told: Mapping[str, Any], _: Mapping[str, Any]) -> bool:
    return told == {"status": 404, "code": "model_not_found"}


_COLUMNS: Final[dict[str, set[str]]] = {
    "chat completions": {"chat"},
    "streamed": {"chat_stream"},
    "history sent again": {"chat_again"},
    "schema": {"chat_form"},
    "responses": {"response"},
    "streamed too": {"response_stream"},
    "`previous_response_id`": {"response_again"},
    "conversation": {"conversation"},
    "items sent again": {"items_sent_again"},
    "items referred to": {"items_referred_to"},
    "schema too": {"response_form"},
    "a function called": {"response_called"},
    "tokens counted": {"count"},
    "errors": {"error"},
}
_INPUT: Final = ("input_tokens", "prompt_tokens", "inputTokens")
_OUTPUT: Final = ("output_tokens", "completion_tokens", "outputTokens")
_CHECKS: Final[dict[str, Callable[[Any, Mapping[str, Any]], bool]]] = {
    "_stream": _is_streamed,
    "_again": _is_remembered,
    "_referred_to": _is_remembered,
    "conversation": _is_remembered,
    "_form": _has_form,
    "_called": _is_called,
    "count": _is_counted,
    "error": _is_refused,
    "": _is_said,
}
"""By how a feature's name ends."""
