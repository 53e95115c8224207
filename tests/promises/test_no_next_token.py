"""Promise 2 where the model itself fails: a turn whose logits are no numbers never looks like an answer."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from safetensors.torch import load_file, save_file
from tests.support.models import TinyModels
from tests.support.server import ServerProcess
from tests.support.talk import Talk, checked, respond
from tests.support.tokenizer import tiny_tokenizer

WHERE = "where?"
OVERFLOWS = "~"
"""Its token, and the second one of the answer to `WHERE`, are none of those that the check at start tries."""
GREEDY = {"temperature": 0, "ignore_eos": True}


@pytest.fixture(scope="module")
def answer(shared_server: ServerProcess) -> tuple[int, ...]:
    """What a sound model answers to `WHERE`."""
    with shared_server.client() as http:
        return respond(http, input=WHERE, max_output_tokens=3, ignore_eos=True).output


@pytest.fixture(scope="module")
def unsound(
    tiny_models: TinyModels, answer: tuple[int, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The same model, but two tokens have no numbers: `OVERFLOWS`, and the second one that it answers with."""
    folder = tmp_path_factory.mktemp("unsound")
    model = Path(shutil.copytree(tiny_models(), folder / "model"))
    weights = load_file(model / "model.safetensors")
    weights["model.embed_tokens.weight"][[*tiny_tokenizer().encode(OVERFLOWS).ids, answer[1]]] = float("nan")
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with ServerProcess(model, folder / "data", "--block-size", "8") as server:
        yield server


@pytest.fixture(scope="module")
def http(unsound: ServerProcess) -> Iterator[httpx.Client]:
    with unsound.client() as client:
        yield client


def failures(http: httpx.Client) -> float:
    families = text_string_to_metric_families(http.get("/metrics").text)
    samples = (sample for family in families for sample in family.samples)
    return next(
        sample.value
        for sample in samples
        if sample.name == "warmturn_turns_failed_total" and sample.labels == {"code": "no_next_token"}
    )


@pytest.mark.parametrize("text", [OVERFLOWS, WHERE], ids=["first token", "later token"])
class TestATurnWithoutANextToken:
    def test_fails_is_counted_and_leaves_its_conversation_as_it_was(self, http: httpx.Client, text: str) -> None:
        talk, before = Talk.begin(http), failures(http)
        reply = http.post("/v1/responses", json=talk.body(text, **GREEDY))
        error = reply.json()["error"]
        assert (reply.status_code, error["type"], error["code"]) == (500, "server_error", "no_next_token")
        assert "ask once more" in error["message"]
        assert talk.texts() == []
        *_, failed, last = talk.stream(text, **GREEDY)
        assert (failed["type"], failed["response"]["error"]["code"]) == ("response.failed", "no_next_token")
        assert (last["type"], last["code"]) == ("error", "no_next_token")
        assert http.get(f"/v1/responses/{failed['response']['id']}").status_code == 404
        assert talk.texts() == []
        assert failures(http) == before + 2
        said = talk.say("who?", max_output_tokens=1, ignore_eos=True)
        assert talk.texts() == ["who?", said.text]

    def test_fails_for_stateless_clients_too(self, http: httpx.Client, text: str) -> None:
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 8, **GREEDY}
        reply = http.post("/v1/chat/completions", json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (500, "no_next_token")
        streamed = http.post("/v1/chat/completions", json={**body, "stream": True})
        *_, error, done = [line for line in streamed.text.splitlines() if line]
        assert '"code":"no_next_token"' in error
        assert done == "data: [DONE]"


def test_a_conversation_goes_on_behind_a_failed_turn(http: httpx.Client) -> None:
    def converse(*texts: str) -> list[str]:
        talk = Talk.begin(http)
        replies: list[Any] = [http.post("/v1/responses", json=talk.body(text, max_output_tokens=1)) for text in texts]
        return [checked(reply)["output"][0]["content"][0]["text"] for reply in replies if reply.status_code == 200]

    assert converse("who?", OVERFLOWS, "and where?") == converse("who?", "and where?")
