"""Promise 2 on a disk that is full: state gives way for the log, and what cannot be kept is not begun."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.server import ServerProcess
from tests.support.small_disk import fill, free_bytes, small_disk
from tests.support.talk import Json, Talk, await_saved, checked
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

DISK = 24 * 2**20
RESERVE = 6 * 2**20
OPTIONS = ("--block-size", "8", "--log-reserve", str(RESERVE), "--ram-cache", "0", "--kv-memory", "8MiB")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", DISK) as disk:
        yield disk


@pytest.fixture
def server(disk: Path, start_server: StartServer) -> Iterator[ServerProcess]:
    server = start_server(*OPTIONS, data_dir=disk / "data")
    yield server
    if server.running:
        server.kill()  # before its disk is gone


def say_much(client: httpx.Client, number: int) -> str:
    """A turn whose state takes about 700 KB, in a conversation of its own; after eight of them it is saved."""
    talk = Talk.begin(client)
    talk.say(f"{number} " * 300, max_output_tokens=2)
    if number % 8 == 7:
        await_saved(client)
    return talk.id


def state_bytes(client: httpx.Client) -> int:
    return int(checked(client.get("/v1/stats"))["tiers"]["disk"]["bytes"])


def tokens_computed(client: httpx.Client) -> int:
    return int(checked(client.get("/v1/stats"))["totals"]["tokens_prefilled"])


def take_all(disk: Path, client: httpx.Client) -> None:
    """Others take all that there is, and what state gives way for it too."""

    def taken() -> bool:
        fill(disk / "taken")
        client.get("/ready")
        return state_bytes(client) == 0 and free_bytes(disk) < 2**16

    wait_until(taken, "state does not give way")


def assert_refused(reply: httpx.Response) -> None:
    error: Json = reply.json()["error"]
    assert (reply.status_code, error["code"], error["type"]) == (503, "store_full", "server_error"), reply.text
    assert "Make room" in error["message"]
    assert reply.headers["retry-after"]


def test_state_takes_nothing_of_what_is_the_logs(disk: Path, server: ServerProcess) -> None:
    with server.client() as client:
        conversations = [say_much(client, number) for number in range(40)]
        assert state_bytes(client) > 2**20, "it is used as far as it goes"
        assert checked(client.get("/ready"))["log"]["writable"]
        assert free_bytes(disk) > RESERVE - 2**20
    server.kill()
    server.start()
    with server.client() as client:
        for conversation in conversations:
            assert Talk(client, conversation).say("And?", max_output_tokens=2).id


def test_state_gives_way_when_others_fill_the_disk(disk: Path, server: ServerProcess) -> None:
    with server.client() as client:
        conversations = [say_much(client, number) for number in range(32)]
        assert state_bytes(client) > RESERVE
        before = state_bytes(client)
        fill(disk / "taken", leave_bytes=RESERVE // 2)
        assert Talk(client, conversations[0]).say("And?", max_output_tokens=2).id
        checked(client.delete(f"/v1/conversations/{conversations[1]}"))
        assert 0 < state_bytes(client) < before
        fill(disk / "taken")
    server.kill()
    server.start()
    with server.client() as client:
        assert Talk(client, conversations[0]).say("And now?", max_output_tokens=2).id


def test_a_promise_gives_way_last_and_that_is_said(disk: Path, server: ServerProcess) -> None:
    """First of all the state that nobody was promised goes."""
    with server.client() as client:
        talk = Talk.begin(client)
        talk.say("Promised. " * 30, max_output_tokens=2, prompt_cache_options={"ttl": "30m"})
        for number in range(16):
            say_much(client, number)
        assert state_bytes(client) > RESERVE
        before = state_bytes(client)
        fill(disk / "taken")
        client.get("/ready")
        wait_until(lambda: state_bytes(client) < before, "state does not give way")
        assert sum(checked(client.get("/v1/stats"))["promises"]["broken"].values()) == 0
        take_all(disk, client)
        assert checked(client.get("/v1/stats"))["promises"]["broken"]["disk_full"] == 1
        (disk / "taken").unlink()
    server.kill()  # or it would go on from memory
    server.start()
    with server.client() as client:
        missed = Talk(client, talk.id).say("And now?", max_output_tokens=2).report["miss"]
        assert (missed["at_token"], missed["promise"]) == (0, "lost")


def test_what_cannot_be_kept_is_not_begun(disk: Path, server: ServerProcess) -> None:
    with server.client() as client:
        talk = Talk.begin(client)
        kept = talk.say("Before.", max_output_tokens=2)
        take_all(disk, client)
        computed = tokens_computed(client)
        for body in (talk.body("Lost."), {**talk.body("Lost."), "stream": True}, {"input": "Lost."}):
            assert_refused(client.post("/v1/responses", json=body))
        assert tokens_computed(client) == computed
        checked(client.post("/v1/responses", json={"input": "Not kept.", "store": False, "max_output_tokens": 2}))
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["log"]["writable"]) == (503, False)
        assert talk.texts() == ["Before.", kept.text], "what is there can be read"
        (disk / "taken").unlink()
        assert checked(client.get("/ready"))["log"]["writable"]
        talk.say("After.", max_output_tokens=2)
        assert talk.texts()[0::2] == ["Before.", "After."]


def test_conversations_can_be_deleted_on_a_full_disk(disk: Path, server: ServerProcess) -> None:
    with server.client() as client:
        conversations = [say_much(client, number) for number in range(4)]
        take_all(disk, client)
        assert client.get("/ready").status_code == 503
        for conversation in conversations:
            checked(client.delete(f"/v1/conversations/{conversation}"))
        assert checked(client.get("/v1/conversations"))["data"] == []
