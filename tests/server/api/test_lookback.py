"""What a reply looked at, as a client gets it."""

import json
import shutil
from typing import Any

import httpx
import openai
import pytest
import torch
from openai import OpenAI
from tests.conftest import StartServer
from tests.support.models import TinyModels
from tests.support.reference import Reference
from tests.support.server import ServerProcess
from tests.support.talk import Talk, checked

LOOKING = ["warmturn.token_ids", "warmturn.lookback"]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def reply(shared_server: ServerProcess) -> Json:
    """The report of the third turn of a conversation with instructions."""
    with shared_server.client() as http:
        talk = Talk.begin(http)
        for text in ("my name is Anna", "Grüße aus 東京 😀"):
            talk.say(text, instructions="You are a good assistant.")
        said = talk.say("What is my name?", instructions="You are a good assistant.", include=LOOKING, ignore_eos=True)
        return said.report


@pytest.fixture(scope="module")
def lookback(reply: Json) -> Json:
    found: Json = reply["lookback"]
    return found


def test_sources_are_the_items_and_what_is_nobodys(reply: Json, lookback: Json) -> None:
    sources = lookback["sources"]
    assert [(source["kind"], source["role"], source["turn"]) for source in sources] == [
        *(("template", None, None), ("instructions", "system", None)),
        *(("item", "user", 1), ("item", "assistant", 1), ("item", "user", 2), ("item", "assistant", 2)),
        *(("item", "user", 3), ("reply", "assistant", 3), ("sink", None, None)),
    ]
    assert [sources[i]["text"] for i in (1, 2, 4, 6)] == [
        *("You are a good assistant.", "my name is Anna", "Grüße aus 東京 😀", "What is my name?")
    ]
    assert sum(source["tokens"] for source in sources[:-2]) == reply["prompt_tokens"]
    assert all(source["tokens"] > 0 for source in sources[:-1])


def test_items_are_those_of_the_conversation(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        talk = Talk.begin(http)
        talk.say("who?")
        asked = talk.body("where?", include=LOOKING)
        response = checked(http.post("/v1/responses", json=asked))
        items = checked(http.get(f"/v1/conversations/{talk.id}/items", params={"order": "asc"}))["data"]
    sources = response["warmturn"]["lookback"]["sources"]
    assert [source["item_id"] for source in sources if source["kind"] in ("item", "reply")] == [i["id"] for i in items]
    assert sources[-2]["item_id"] == response["output"][0]["id"]


def test_shares_sum_to_one(lookback: Json) -> None:
    for row in (*lookback["layers"], *lookback["looks"]):
        assert len(row["shares"]) == len(lookback["sources"])
        assert sum(row["shares"]) == pytest.approx(1, abs=1e-4)


def test_the_figures_are_the_models_own(reply: Json, lookback: Json, tiny_models: TinyModels) -> None:
    """Against eager attention over the very ids, with whose each token is told by its text."""
    prompt, output = reply["prompt_token_ids"], reply["output_token_ids"]
    weights = Reference(tiny_models()).attentions(prompt + output).mean(1)[:, len(prompt) - 1 : -1, :-1]
    for position, token in lookback["tokens"].items():
        assert token["source"] > 0 and token["text"], position
    for got, of_layer in zip(lookback["layers"], weights.mean(1), strict=True):
        for seen in got["top"]:
            assert seen["share"] == pytest.approx(float(of_layer[seen["position"]]), abs=1e-5)
        assert got["shares"][-2] == pytest.approx(float(of_layer[len(prompt) :].sum()), abs=1e-5)
    for number, look in enumerate(lookback["looks"]):
        for layer, depth in enumerate(look["by_layer"]):
            share = float(weights[layer, number, depth["position"]])
            assert depth["token_share"] == pytest.approx(share, abs=1e-5)
        best = torch.tensor([seen["share"] for seen in look["top"]])
        positions = [seen["position"] for seen in look["top"]]
        assert torch.allclose(best, weights.mean(0)[number, positions], atol=1e-5)


def test_each_token_of_the_reply_has_its_look(reply: Json, lookback: Json) -> None:
    looks = lookback["looks"]
    assert [look["token_id"] for look in looks] == reply["output_token_ids"]
    first = reply["prompt_tokens"] - 1
    assert [look["position"] for look in looks] == list(range(first, first + len(looks)))
    assert lookback["output_tokens"] == len(looks)


def test_a_stream_ends_with_the_same(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        whole = Talk.begin(http).say("who is Anna?", include=LOOKING).report["lookback"]
        *_, last = Talk.begin(http).stream("who is Anna?", include=LOOKING)
    streamed = last["response"]["warmturn"]["lookback"]
    assert without_ids(streamed) == pytest.approx(without_ids(whole), abs=1e-5)


def test_it_can_be_asked_for_later(start_server: StartServer) -> None:
    """From memory, from disk after a restart, and from nothing: the numbers of the turn itself, whatever came after."""
    server = start_server("--block-size", "8")
    with server.client() as http:
        talk = Talk.begin(http)
        talk.say("my name is Anna")
        said = talk.say("Grüße aus 東京, who?", include=LOOKING, instructions="You are a good assistant.")
        talk.say("and where?")
        assert_alike(look_back(http, said.id), said.report["lookback"])
    server.restart()
    with server.client() as http:
        assert_alike(look_back(http, said.id), said.report["lookback"])
    server.terminate()
    shutil.rmtree(server.data_dir / "kv")
    server.start()
    with server.client() as http:
        assert_alike(look_back(http, said.id), said.report["lookback"])


def test_asking_later_leaves_no_trace(start_server: StartServer) -> None:
    server = start_server("--block-size", "8")
    with server.client() as http:
        talk = Talk.begin(http)
        talk.say("my name is Anna")
        said = talk.say("who is she?")
        before = stats_of(http)
        for _ in range(3):
            look_back(http, said.id)
        assert stats_of(http) == before
        further = talk.say("and where?")
    assert further.report["cached_by_tier"]["resident"] >= len(said.token_ids) - 1
    assert further.report["miss"] is None


def test_items_deleted_before_a_reply_are_not_in_it_and_after_it_nothing_is_told(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        talk = Talk.begin(http)
        talk.say("my name is Anna")
        talk.say("where are they?")
        gone, late = (item_with(http, talk, text) for text in ("my name is Anna", "where are they?"))
        checked(http.delete(f"/v1/conversations/{talk.id}/items/{gone}"))
        said = talk.say("who?", include=LOOKING)
        later = look_back(http, said.id)
        assert [source["text"] for source in later["sources"]][1:-2] == [
            source["text"] for source in said.report["lookback"]["sources"]
        ][1:-2]
        assert "my name is Anna" not in str(later["sources"])
        checked(http.delete(f"/v1/conversations/{talk.id}/items/{late}"))
        assert look_back(http, said.id) is None, "what the model saw went with the item"


def test_openais_client_asks_later_too(openai_client: OpenAI, model: str) -> None:
    made = openai_client.responses.create(model=model, input="who?", max_output_tokens=4)
    found = openai_client.responses.retrieve(made.id, include=["warmturn.lookback"])  # type: ignore[list-item]
    assert found.model_extra and found.model_extra["warmturn"]["lookback"]["looks"]
    with pytest.raises(openai.BadRequestError, match="cannot be included later"):
        openai_client.responses.retrieve(made.id, include=["warmturn.token_ids"])  # type: ignore[list-item]


def look_back(http: httpx.Client, response_id: str) -> Json:
    reply = checked(http.get(f"/v1/responses/{response_id}", params={"include": "warmturn.lookback"}))
    found: Json = reply["warmturn"]["lookback"]
    return found


def assert_alike(later: Json, at_the_time: Json) -> None:
    assert without_ids(later) == pytest.approx(without_ids(at_the_time), abs=1e-5)
    assert later["sources"] == at_the_time["sources"]
    assert [look["text"] for look in later["looks"]] == [look["text"] for look in at_the_time["looks"]]
    assert len(later["looks"]) == later["output_tokens"] == at_the_time["output_tokens"]


def stats_of(http: httpx.Client) -> list[str]:
    """Counts of turns and tokens, without times."""
    lines = http.get("/metrics").text.splitlines()
    counted = ("warmturn_turns_total", "warmturn_prompt_tokens_total", "warmturn_generation_tokens_total")
    return [line for line in lines if line.startswith(counted)]


def item_with(http: httpx.Client, talk: Talk, text: str) -> str:
    items = checked(http.get(f"/v1/conversations/{talk.id}/items"))["data"]
    return next(str(item["id"]) for item in items if item["content"][0]["text"] == text)


def without_ids(lookback: Json) -> list[float]:
    return [share for row in (*lookback["layers"], *lookback["looks"]) for share in row["shares"]]


@pytest.mark.parametrize("stream", [False, True])
def test_chat_completions_offer_it_too(shared_server: ServerProcess, stream: bool) -> None:
    messages = [("user", "my name is Anna"), ("assistant", "where?"), ("user", "who?")]
    body = {"messages": [{"role": role, "content": text} for role, text in messages], "max_tokens": 4}
    with shared_server.client() as http:
        asked = http.post("/v1/chat/completions", json={**body, "include": LOOKING, "stream": stream})
    lookback = report_of(asked, stream=stream)["lookback"]
    assert [(source["turn"], source["text"]) for source in lookback["sources"][1:-2]] == [
        *((1, "my name is Anna"), (1, "where?"), (2, "who?"))
    ]
    assert 1 <= len(lookback["looks"]) <= 4


def report_of(reply: httpx.Response, *, stream: bool) -> Json:
    if not stream:
        report: Json = checked(reply)["warmturn"]
        return report
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    return next(event["warmturn"] for event in events if "warmturn" in event)


def test_who_does_not_ask_gets_none(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        assert "lookback" not in Talk.begin(http).say("who?").report


def test_a_slip_in_what_to_include_is_told(shared_server: ServerProcess) -> None:
    asked: Json = {
        "responses": {"input": "who?"},
        "chat/completions": {"messages": [{"role": "user", "content": "who?"}]},
    }
    with shared_server.client() as http:
        for path, body in asked.items():
            refused = http.post(f"/v1/{path}", json={**body, "include": ["warmturn.look_back"]})
            assert refused.status_code == 400
            assert "warmturn.lookback" in refused.json()["error"]["message"]
            accepted = http.post(f"/v1/{path}", json={**body, "include": ["reasoning.encrypted_content"]})
            assert accepted.status_code == 200


def test_a_long_reply_is_looked_at_from_its_beginning(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        said = Talk.begin(http).say("who?", include=LOOKING, max_output_tokens=260, ignore_eos=True)
    assert said.report["lookback"]["output_tokens"] == 260
    assert len(said.report["lookback"]["looks"]) == 256


def test_the_first_turn_has_no_earlier_one(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        lookback = Talk.begin(http).say("who?", include=LOOKING).report["lookback"]
    assert all(depth is None for look in lookback["looks"] for depth in look["by_layer"])
    assert all(layer["top"] for layer in lookback["layers"])
