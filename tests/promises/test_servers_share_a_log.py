"""Several servers with their log in one Redis are one service: any of them goes on with any conversation."""

from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from tests.support.fleet import Fleet
from tests.support.models import TinyModels
from tests.support.reference import Reference, assert_greedy
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk, await_saved, checked, respond
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def fleet(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tiny_models(), tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def clients(fleet: Fleet) -> Iterator[list[httpx.Client]]:
    clients = [server.client() for server in fleet.servers]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture(scope="module")
def reference(tiny_models: TinyModels) -> Reference:
    return Reference(tiny_models())


def test_a_conversation_goes_on_at_every_server(clients: list[httpx.Client], reference: Reference) -> None:
    talk = Talk.begin(clients[0])
    before = talk.say("My cat is called Mirelo.")
    for number in range(4):
        said = Talk(clients[number % 2], talk.id).say(f"And what else? {number}")
        assert said.prompt[: len(before.known)] == before.known
        assert_greedy(reference, said.prompt, said.output)
        before = said
    assert [len(Talk(client, talk.id).texts()) for client in clients] == [10, 10]


def test_a_response_is_gone_on_from_at_another_server(clients: list[httpx.Client], reference: Reference) -> None:
    first = respond(clients[0], input="My cat is called Mirelo.")
    second = respond(clients[1], input="What is it called?", previous_response_id=first.id)
    assert second.prompt[: len(first.known)] == first.known
    assert_greedy(reference, second.prompt, second.output)
    assert checked(clients[0].get(f"/v1/responses/{second.id}"))["id"] == second.id


def test_what_a_stateless_client_sends_again_is_found_where_it_was_said(clients: list[httpx.Client]) -> None:
    """Nothing of it is in the log that they share: the other one knows it as text."""
    messages = [{"role": "user", "content": "Tell me about lighthouses. " * 8}]
    first = complete(clients[0], messages)
    said = first["choices"][0]["message"]["content"]
    messages += [{"role": "assistant", "content": said}, {"role": "user", "content": "Go on."}]
    known = first["warmturn"]["prompt_token_ids"] + first["warmturn"]["output_token_ids"]
    there, here = (complete(client, messages)["warmturn"] for client in (clients[1], clients[0]))
    assert here["prompt_token_ids"][: len(known) - 1] == known[:-1]
    prompt = first["warmturn"]["prompt_token_ids"]
    assert there["prompt_token_ids"][: len(prompt)] == prompt


def test_what_one_makes_in_the_background_is_asked_for_at_the_other(clients: list[httpx.Client]) -> None:
    here, there = clients
    asked = {"input": "who?", "background": True, "max_output_tokens": 1_900, "ignore_eos": True, "reuse": "nothing"}
    name = checked(here.post("/v1/responses", json=asked))["id"]
    path = f"/v1/responses/{name}"
    assert checked(there.get(path))["status"] == "in_progress"
    for refused in (there.post(f"{path}/cancel"), there.delete(path), there.get(path, params={"stream": "true"})):
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "response_elsewhere")
    assert checked(here.post(f"{path}/cancel"))["status"] == "cancelled"
    wait_until(lambda: there.get(path).status_code == 404, "what was cancelled is not kept")
    short = checked(here.post("/v1/responses", json={**asked, "max_output_tokens": 4}))["id"]
    ended = [wait_until(partial(ended_response, client, short), "it never ended") for client in (there, here)]
    assert ended[0]["output"] == ended[1]["output"]


def ended_response(client: httpx.Client, name: str) -> Json | None:
    response = checked(client.get(f"/v1/responses/{name}"))
    return None if response["status"] in ("queued", "in_progress") else response


def test_what_is_sent_again_to_the_other_is_carried_out_once(clients: list[httpx.Client]) -> None:
    talk, headers = Talk.begin(clients[0]), {"Idempotency-Key": "sent-to-both"}
    body = talk.body("Once.", temperature=1)
    first, second = (checked(client.post("/v1/responses", json=body, headers=headers)) for client in clients)
    assert (second["id"], second["output"]) == (first["id"], first["output"])
    assert len(talk.texts()) == 2
    made = [
        checked(client.post("/v1/conversations", json={}, headers=headers | {"Idempotency-Key": "a-chat"}))["id"]
        for client in clients
    ]
    assert made[0] == made[1]


def test_what_is_deleted_at_one_is_gone_at_the_other(clients: list[httpx.Client]) -> None:
    talk = Talk.begin(clients[0])
    said = talk.say("Not for long.")
    assert clients[1].delete(f"/v1/conversations/{talk.id}").status_code == 200
    assert clients[0].get(f"/v1/conversations/{talk.id}").status_code == 404
    assert clients[0].get(f"/v1/responses/{said.id}").status_code == 404


def test_deleting_at_one_server_removes_the_state_at_all(fleet: Fleet, clients: list[httpx.Client]) -> None:
    """Also what another one keeps on a disk of its own."""
    before = settled_state(fleet.servers[1])
    talk = Talk.begin(clients[0])
    for client in clients:
        Talk(client, talk.id).say("A secret that nobody else ever says, and that is told only here.")
    saved = settled_state(fleet.servers[1]) - before
    assert saved
    assert clients[0].delete(f"/v1/conversations/{talk.id}").status_code == 200
    wait_until(lambda: not saved & state_on_disk(fleet.servers[1]), "state of a deleted conversation is left")


def test_a_conversation_is_busy_at_every_server(clients: list[httpx.Client]) -> None:
    talk = Talk.begin(clients[0])
    events = talk.stream("Talk for long.", max_output_tokens=400, ignore_eos=True)
    next(events)
    body = Talk(clients[1], talk.id).body("And me?")
    refused = clients[1].post("/v1/responses", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conversation_locked")
    assert 1 <= int(refused.headers["retry-after"]) <= 5
    *_, last = events
    assert last["type"] == "response.incomplete"
    assert clients[1].post("/v1/responses", json=body).status_code == 200, "free as soon as the last event is sent"


def test_the_log_is_shown_to_those_who_ask_whether_a_server_is_ready(clients: list[httpx.Client]) -> None:
    ready = checked(clients[1].get("/ready"))
    assert ready["log"]["store"] == "redis" and ready["log"]["reachable"] is True
    durability = ready["log"]["durability"]
    assert (durability["appendonly"], durability["appendfsync"], durability["durable"]) == ("yes", "always", True)
    assert ready["tiers"]["ram"] == {"available": True}


def complete(client: httpx.Client, messages: list[dict[str, str]]) -> Json:
    body = {"messages": messages, "temperature": 0, "max_tokens": 16, "include": ["warmturn.token_ids"]}
    return checked(client.post("/v1/chat/completions", json=body))


def state_on_disk(server: ServerProcess) -> set[str]:
    return {path.name for path in server.data_dir.rglob("*.kv")}


def settled_state(server: ServerProcess) -> set[str]:
    """Once nothing more is saved."""
    with server.client() as client:
        await_saved(client)
    return state_on_disk(server)
