"""A log in a file that was damaged, seen from outside: an error that quotes nothing, for whom it concerns."""

import os
import sqlite3
from collections.abc import Iterator

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.server import ServerProcess
from tests.support.talk import Talk, checked, respond


@pytest.fixture
def server(start_server: StartServer) -> ServerProcess:
    return start_server("--block-size", "8")


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def test_a_changed_row_is_an_error_for_its_own_conversation(server: ServerProcess, client: httpx.Client) -> None:
    damaged, sound = Talk.begin(client), Talk.begin(client)
    damaged.say("My cat is called Mirelo.")
    sound.say("My cat is called Waldo.")
    with sqlite3.connect(server.data_dir / "conversations.sqlite3") as database:
        database.execute("UPDATE turn SET input = replace(input, 'Mirelo', 'Lirelo')")
        database.execute("UPDATE record SET text = replace(text, 'Mirelo', 'Lirelo')")
    for reply in (
        client.post("/v1/responses", json=damaged.body("What is it called?")),
        client.get(f"/v1/conversations/{damaged.id}/items"),
    ):
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "store_corrupt")
        assert "The turn of 'resp_" in reply.json()["error"]["message"]
        assert "irelo" not in reply.text
    assert sound.say("And here?").id
    assert respond(client, input="My cat is called Mirelo.").id, "sent as text, it needs no log"
    assert checked(client.get("/ready"))["status"] == "ready"
    assert "irelo" not in server.stderr()
    assert client.delete(f"/v1/conversations/{damaged.id}").status_code == 200
    assert client.get(f"/v1/conversations/{damaged.id}").status_code == 404


def test_a_malformed_page_is_no_500(server: ServerProcess, client: httpx.Client) -> None:
    talk = Talk.begin(client)
    for number in range(3):
        talk.say(f"Turn {number}.", max_output_tokens=2)
    server.terminate()
    with (server.data_dir / "conversations.sqlite3").open("r+b") as file:
        for page in range(2, os.fstat(file.fileno()).st_size // 4096):  # the first two say what there is
            file.seek(page * 4096)
            file.write(bytes(64))
    server.start()
    with server.client() as client:
        for reply in (
            client.get(f"/v1/conversations/{talk.id}/items"),
            client.post("/v1/responses", json=talk.body("More.")),
            client.get("/v1/conversations"),
        ):
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "store_corrupt")


def test_a_file_that_is_not_the_one_opened_takes_no_turns(server: ServerProcess, client: httpx.Client) -> None:
    talk = Talk.begin(client)
    talk.say("Before.")
    path = server.data_dir / "conversations.sqlite3"
    aside = path.rename(path.with_name("aside"))
    for body in (talk.body("Lost."), {"input": "Lost.", "max_output_tokens": 2}):
        refused = client.post("/v1/responses", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert "conversations.sqlite3 of the conversation log was removed" in ready.json()["log"]["durability"]["why"]
    aside.rename(path)
    assert checked(client.get("/ready"))["status"] == "ready"
    talk.say("After.")
    assert talk.texts()[0::2] == ["Before.", "After."]
