"""What a request does not say of sampling is the model's to say, and the reply tells what it was."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.client.command import Command
from tests.conftest import StartServer
from tests.support.models import TinyModels
from tests.support.server import ServerProcess
from tests.support.talk import checked

RECOMMENDED: Final = {"temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0.05, "repetition_penalty": 1.1}
OPENAI: Final = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}


@pytest.fixture(scope="module")
def model(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(tiny_models(), tmp_path_factory.mktemp("recommending") / "model"))
    said = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**said, **RECOMMENDED, "do_sample": True}))
    return folder


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(model, tmp_path_factory.mktemp("sampling") / "data") as server:
        yield server


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as http:
        yield http


def respond(http: httpx.Client, **options: object) -> dict[str, Any]:
    body = {"input": "hello", "max_output_tokens": 8, "seed": 5, "include": ["warmturn.token_ids"], **options}
    return checked(http.post("/v1/responses", json=body))


def test_it_is_as_if_the_request_had_said_it(http: httpx.Client) -> None:
    left_open, said, greedy = respond(http), respond(http, **RECOMMENDED), respond(http, temperature=0)
    assert left_open["warmturn"]["output_token_ids"] == said["warmturn"]["output_token_ids"]
    assert left_open["warmturn"]["output_token_ids"] != greedy["warmturn"]["output_token_ids"]


def test_replies_tell_what_it_was_and_the_model_what_it_would_be(http: httpx.Client) -> None:
    reply = respond(http)
    assert reply["warmturn"]["sampling"] == RECOMMENDED
    assert (reply["temperature"], reply["top_p"]) == (0.6, 0.9)
    assert checked(http.get(f"/v1/responses/{reply['id']}"))["warmturn"]["sampling"] == RECOMMENDED
    messages = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}
    assert checked(http.post("/v1/chat/completions", json=messages))["warmturn"]["sampling"] == RECOMMENDED
    (model,) = checked(http.get("/v1/models"))["data"]
    assert model["sampling_defaults"] == RECOMMENDED


@pytest.mark.parametrize(
    ("said", "used"),
    [
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"top_k": -1, "min_p": 0}, {"top_k": 0, "min_p": 0.0}),
        ({"top_p": 1, "repetition_penalty": 1, "temperature": None}, {"top_p": 1.0, "repetition_penalty": 1.0}),
    ],
)
def test_the_request_goes_first_field_by_field(
    http: httpx.Client, said: dict[str, object], used: dict[str, float]
) -> None:
    assert respond(http, **said)["warmturn"]["sampling"] == {**RECOMMENDED, **used}


def test_the_command_leaves_it_to_the_model(server: ServerProcess, tmp_path: Path) -> None:
    def sampled(*options: str) -> dict[str, float]:
        done = Command(tmp_path, server.base_url)("ask", "--json", "hello", "--max-tokens", "2", *options).ok()
        sampling: dict[str, float] = json.loads(done.splitlines()[-1])["report"]["sampling"]
        return sampling

    assert sampled() == RECOMMENDED
    assert sampled("-t", "0.3") == {**RECOMMENDED, "temperature": 0.3}


def test_openais_defaults_can_be_had_instead(start_server: StartServer, model: Path) -> None:
    with start_server("--sampling-defaults", "openai", model=model).client() as http:
        assert respond(http)["warmturn"]["sampling"] == OPENAI
