"""What was deleted is nowhere: no word and no token id of it, in no encoding, in no file of the data folder, and in no
value in Redis."""

from collections.abc import Iterator

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.fleet import Fleet
from tests.support.models import TinyModels
from tests.support.server import ServerProcess
from tests.support.talk import Json, Said, Talk, checked, respond
from tests.support.tokenizer import tiny_tokenizer
from tests.support.traces import Trace
from tests.support.waiting import wait_until

SECRET = "Zwetschge und Quitte"
FIRST = f"The word is {SECRET}, and nobody may know it."
IDS = tiny_tokenizer().encode(f" {SECRET}").ids
TRACE = Trace(SECRET, IDS)
IN_LOG = {"words", "ids as <i4"}
IN_STATE = {"ids as <i8"}


@pytest.fixture(scope="module")
def server(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tiny_models(), tmp_path_factory.mktemp("gone") / "data", "--block-size", "8") as server:
        yield server


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    """Afterwards nothing is left to delete."""
    with server.client() as client:
        yield client
        for conversation in checked(client.get("/v1/conversations"))["data"]:
            checked(client.delete(f"/v1/conversations/{conversation['id']}"))


def known(said: Said) -> Said:
    """The ids looked for are those that the model saw."""
    start = said.prompt.index(IDS[0])
    assert list(said.prompt[start : start + len(IDS)]) == IDS
    return said


def await_found(server: ServerProcess, encodings: set[str]) -> None:
    """State is saved in the background."""
    wait_until(lambda: encodings <= TRACE.in_folder(server.data_dir).keys(), f"no {encodings} in the first place")


def await_saved(server: ServerProcess, said: Said, block_size: int = 8) -> None:
    """As far as blocks are full."""
    ids = [*said.prompt, *said.output[:-1]]
    last = len(ids) // block_size * block_size
    trace = Trace(said.text, ids[last - block_size : last])
    wait_until(lambda: trace.in_folder(server.data_dir).keys() >= IN_STATE, "its state is not saved")


def items(talk: Talk) -> list[Json]:
    page = checked(talk.client.get(f"/v1/conversations/{talk.id}/items", params={"order": "asc", "limit": 100}))
    found: list[Json] = page["data"]
    return found


def delete_item(talk: Talk, item: Json) -> None:
    checked(talk.client.delete(f"/v1/conversations/{talk.id}/items/{item['id']}"))


def delete(talk: Talk) -> None:
    checked(talk.client.delete(f"/v1/conversations/{talk.id}"))


def test_two_conversations_with_the_same_first_message(server: ServerProcess, client: httpx.Client) -> None:
    one, other = Talk.begin(client), Talk.begin(client)
    known(one.say(FIRST))
    one.say("Tell it to me.")
    known(other.say(FIRST))
    said = other.say("Tell it to nobody.")
    await_found(server, IN_LOG | IN_STATE)
    delete(one)
    assert other.texts()[0] == FIRST
    assert other.say("And now?").cached >= len(said.prompt), "what the other one goes on from stays"
    delete(other)
    assert TRACE.in_folder(server.data_dir) == {}


def test_a_chain_of_responses(server: ServerProcess, client: httpx.Client) -> None:
    first = known(respond(client, input=FIRST, store=True))
    second = respond(client, input="Tell it to me.", previous_response_id=first.id, store=True)
    await_found(server, IN_LOG | IN_STATE)
    for said in (first, second):
        checked(client.delete(f"/v1/responses/{said.id}"))
    assert TRACE.in_folder(server.data_dir) == {}


def test_a_deleted_item_and_all_that_followed_it(server: ServerProcess, client: httpx.Client) -> None:
    talk = Talk.begin(client)
    before = talk.say("Hello.")
    known(talk.say(FIRST))
    answered = talk.say("Tell it to me.")
    await_found(server, IN_LOG | IN_STATE)
    delete_item(talk, items(talk)[2])
    assert TRACE.in_folder(server.data_dir) == {}
    assert FIRST not in talk.texts() and answered.text == talk.texts()[-1]
    after = talk.say("And now?")
    assert after.cached >= len(before.prompt), "what was said before it goes on"
    assert talk.say("Further.").cached >= len(after.prompt)


def test_an_undone_turn(server: ServerProcess, client: httpx.Client) -> None:
    talk = Talk.begin(client)
    talk.say("Hello.")
    said = known(talk.say(FIRST))
    await_found(server, IN_LOG | IN_STATE)
    for item in items(talk)[2:]:
        delete_item(talk, item)
    assert client.get(f"/v1/responses/{said.id}").status_code == 404
    assert TRACE.in_folder(server.data_dir) == {}
    talk.say("Something else.")
    assert talk.texts()[::2] == ["Hello.", "Something else."]


def test_an_item_that_a_fork_still_shows_goes_with_the_fork(server: ServerProcess, client: httpx.Client) -> None:
    talk = Talk.begin(client)
    known(talk.say(FIRST))
    fork = talk.fork()
    talk.say("Go on.")
    delete_item(talk, items(talk)[0])
    assert FIRST not in talk.texts()
    assert fork.texts()[0] == FIRST and fork.say("And here?").id
    await_found(server, IN_LOG | IN_STATE)
    delete(fork)
    assert TRACE.in_folder(server.data_dir) == {}
    assert talk.say("Still there?").id


def test_nothing_of_a_turn_that_is_not_to_be_stored_is_in_the_log(server: ServerProcess, client: httpx.Client) -> None:
    known(respond(client, input=FIRST, store=False))
    messages = [{"role": "user", "content": FIRST}]
    for _ in range(2):
        reply = checked(client.post("/v1/chat/completions", json={"messages": messages, "max_tokens": 8}))
        messages += [reply["choices"][0]["message"], {"role": "user", "content": "Go on."}]
    assert reply["warmturn"]["cached_tokens"] > len(IDS), "what is sent again is recognised"
    found = TRACE.in_folder(server.data_dir)
    assert not {path for paths in found.values() for path in paths} - {"a block"}


@pytest.mark.parametrize("end", ["stays", "killed"])
def test_state_of_what_is_not_to_be_stored_passes(start_server: StartServer, end: str) -> None:
    """And what a conversation has in common with it stays."""
    server = start_server("--block-size", "8", "--unstored-ttl", "3")
    with server.client() as client:
        shared = respond(client, input="Hello, this is a test.", store=False)
        said = known(respond(client, input=FIRST, store=False))
        again = known(respond(client, input=FIRST, store=False))
        assert again.cached >= len(said.prompt) - 1
        await_found(server, IN_STATE)
        talk = Talk.begin(client)
        kept = talk.say("Hello, this is a test.")
        assert kept.prompt == shared.prompt
        await_saved(server, kept)
    if end == "killed":
        server.kill()
        server.start()
    wait_until(lambda: TRACE.in_folder(server.data_dir) == {}, "it does not pass")
    with server.client() as client:
        assert Talk(client, talk.id).say("And now?").cached > len(shared.prompt)


def test_with_no_time_to_live_there_is_no_state_of_it(start_server: StartServer) -> None:
    server = start_server("--block-size", "8", "--unstored-ttl", "0")
    with server.client() as client:
        said = known(respond(client, input=FIRST, store=False))
        Talk.begin(client).say("Hello.")
        again = known(respond(client, input=FIRST, store=False))
        assert again.token_ids == said.token_ids
        assert again.cached < said.prompt.index(IDS[0])
    server.terminate()
    assert TRACE.in_folder(server.data_dir) == {} and list(server.data_dir.rglob("*.kv"))


def test_state_that_another_model_left_goes_too(start_server: StartServer) -> None:
    first = start_server("--block-size", "8")
    with first.client() as client:
        talk = Talk.begin(client)
        known(talk.say(FIRST))
    first.terminate()
    assert TRACE.in_folder(first.data_dir).keys() >= IN_STATE
    second = start_server("--block-size", "16")
    with second.client() as client:
        delete(Talk(client, talk.id))
    assert TRACE.in_folder(second.data_dir) == {}


def test_a_turn_that_is_cancelled_leaves_no_lasting_state(start_server: StartServer) -> None:
    server = start_server("--block-size", "8", "--unstored-ttl", "1")
    with server.client() as client:
        talk = Talk.begin(client)
        for event in talk.stream(FIRST, max_output_tokens=1_500, ignore_eos=True):
            if event["type"] == "response.output_text.delta":
                break
        await_found(server, IN_STATE)
    wait_until(lambda: TRACE.in_folder(server.data_dir) == {}, "it does not pass")


@pytest.fixture(scope="module")
def fleet(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Log and state in one Redis, the state compressed."""
    folder = tmp_path_factory.mktemp("fleet")
    with Fleet(tiny_models(), folder, "--kv-codec", "zstd", state_in_redis=True) as fleet:
        yield fleet


def everywhere(fleet: Fleet) -> dict[str, set[str]]:
    with fleet.redis.client() as redis:
        found = TRACE.in_redis(redis)
    for server in fleet.servers:
        found = {**found, **TRACE.in_folder(server.data_dir)}
    return found


def test_in_redis_and_at_every_server(fleet: Fleet) -> None:
    with fleet.servers[0].client() as client, fleet.servers[1].client() as other:
        talk, twin = Talk.begin(client), Talk.begin(client)
        known(talk.say(FIRST))
        known(Talk(other, talk.id).say("Tell it to me."))
        known(twin.say(FIRST))
        first = known(respond(client, input=FIRST, store=True))
        wait_until(lambda: {*IN_STATE, "words", "ids in dense JSON"} <= everywhere(fleet).keys(), "it is not there")
        assert TRACE.in_folder(fleet.servers[1].data_dir).keys() >= IN_STATE
        third = Talk.begin(client)
        third.say("Hello.")
        known(third.say(FIRST))
        third.say("Go on.")
        delete_item(third, items(third)[2])
        for gone in (talk, twin):
            delete(Talk(other, gone.id))
        checked(client.delete(f"/v1/responses/{first.id}"))
        wait_until(lambda: everywhere(fleet) == {}, "the other server was told, and does not let go")
        assert third.texts()[::2][0] == "Hello." and third.say("And now?").id
