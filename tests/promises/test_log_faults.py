"""When the log in Redis fails, a turn is refused, never lost: nothing is acknowledged that is not stored."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.support.fault_proxy import FaultProxy
from tests.support.fleet import SECRET, say_when_free
from tests.support.models import TinyModels
from tests.support.redis_server import DURABLE, RedisServer
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk, await_saved, checked
from tests.support.waiting import wait_until

HANGING_SECONDS = 20
"""A request that takes longer hangs: this is no measure of how fast a refusal is."""
LONG = {"max_output_tokens": 600, "ignore_eos": True}


@dataclass(frozen=True)
class Rig:
    redis: RedisServer
    proxy: FaultProxy
    server: ServerProcess

    def client(self) -> httpx.Client:
        return self.server.client(HANGING_SECONDS)


@pytest.fixture(scope="module")
def _rig(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("rig")
    with RedisServer(folder / "redis", *DURABLE) as redis, FaultProxy(redis.port) as proxy:
        options = ("--block-size", "8", "--log", "redis", "--redis", proxy.url)
        environment = {"WARMTURN_REDIS_SECRET": SECRET}
        with ServerProcess(tiny_models(), folder / "data", *options, environment=environment) as server:
            yield Rig(redis, proxy, server)


@pytest.fixture
def rig(_rig: Rig) -> Iterator[Rig]:
    yield _rig
    _rig.proxy.heal()
    with _rig.client() as client:
        await_ready(client)


@pytest.fixture
def client(rig: Rig) -> Iterator[httpx.Client]:
    with rig.client() as client:
        yield client


def await_ready(client: httpx.Client) -> None:
    wait_until(lambda: client.get("/ready").status_code == 200, "it did not recover by itself")


def assert_refused(reply: httpx.Response, code: str = "store_unavailable") -> None:
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, code), reply.text
    assert reply.json()["error"]["type"] == "server_error"
    assert reply.headers["retry-after"]


def assert_not_acknowledged(events: Iterator[Json], code: str = "store_unavailable") -> None:
    *_, failed, error = events
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert (error["type"], error["code"]) == ("error", code)


def begun(talk: Talk, text: str) -> Iterator[Json]:
    """The rest of a long turn's events, once the model speaks."""
    events = talk.stream(text, **LONG)
    for event in events:
        if event["type"] == "response.output_text.delta":
            return events
    raise AssertionError("the turn ended before the model spoke")


@pytest.mark.parametrize("fault", ["refuse", "pause"])
def test_a_log_that_is_away_refuses_turns_and_comes_back_by_itself(rig: Rig, client: httpx.Client, fault: str) -> None:
    talk = Talk.begin(client)
    talk.say("Before.")
    getattr(rig.proxy, fault)()
    for body in (talk.body("Lost."), {"input": "Lost.", "max_output_tokens": 2}):
        assert_refused(client.post("/v1/responses", json=body))
    assert_refused(client.post("/v1/conversations", json={}))
    ready = client.get("/ready")
    assert ready.status_code == 503 and ready.json()["log"]["reachable"] is False
    rig.proxy.heal()
    await_ready(client)
    say_when_free(talk, "After.")
    assert talk.texts()[0::2] == ["Before.", "After."]


@pytest.mark.parametrize("fault", ["refuse", "pause", "stop"])
def test_a_log_that_goes_away_in_a_turn_ends_it_without_acknowledging(
    rig: Rig, client: httpx.Client, fault: str
) -> None:
    """And what was refused is not written later, when a Redis that slept finds it in its queue."""
    talk = Talk.begin(client)
    events = begun(talk, "Lost.")
    if fault == "stop":
        rig.redis.pause()
    else:
        getattr(rig.proxy, fault)()
    try:
        assert_not_acknowledged(events)
    finally:
        rig.redis.resume()
        rig.proxy.heal()
    await_ready(client)
    said = say_when_free(talk, "After.")
    assert talk.texts() == ["After.", said.text]


def test_a_connection_that_is_cut_anywhere_costs_nothing(rig: Rig, client: httpx.Client) -> None:
    """A reply that was lost is asked for again, not guessed: each turn is there, and once."""
    talk = Talk.begin(client)
    for number in range(16):
        rig.proxy.cut_after(1 + 37 * number)
        assert talk.say(f"Turn {number}.", max_output_tokens=2).id
    assert talk.texts()[0::2] == [f"Turn {number}." for number in range(16)]


def test_a_slow_log_only_takes_longer(rig: Rig, client: httpx.Client) -> None:
    rig.proxy.delay(0.15)
    talk = Talk.begin(client)
    assert talk.say("Slowly.").id
    assert talk.texts()[0::2] == ["Slowly."]


def test_a_full_redis_refuses_turns_and_keeps_what_it_has(rig: Rig, client: httpx.Client) -> None:
    talk = Talk.begin(client)
    talk.say("Before.")
    events = begun(talk, "Lost.")
    with rig.redis.client() as redis:
        redis.config_set("maxmemory", "100kb")
        try:
            assert_not_acknowledged(events, "store_full")
            for body in (talk.body("Lost too."), {"input": "Lost too."}):
                assert_refused(client.post("/v1/responses", json=body), "store_full")
            assert talk.texts()[0::2] == ["Before."], "what is there can be read"
            ready = client.get("/ready")
            assert (ready.status_code, ready.json()["log"]["writable"]) == (503, False)
            assert ready.json()["log"]["durability"]["maxmemory"] == 102400
        finally:
            redis.config_set("maxmemory", "0")
    assert checked(client.get("/ready"))["log"]["writable"]
    say_when_free(talk, "After.")
    assert talk.texts()[0::2] == ["Before.", "After."]


def test_state_in_the_same_redis_gives_way_when_the_log_needs_the_memory(rig: Rig, client: httpx.Client) -> None:
    """It fills what there is, again and again, and no turn is lost for it."""
    with rig.redis.client() as redis:
        talks = [Talk.begin(client) for _ in range(6)]

        def num_saved() -> int:
            """Of another turn each time: an earlier fault may have switched the tier off for a while."""
            for number, talk in enumerate(talks):
                talk.say(f"{number} " * 50, max_output_tokens=2)
            await_saved(client)
            return len(redis.keys("warmturn:kv:*"))

        held = wait_until(num_saved, "no state was saved there")
        redis.config_set("maxmemory", redis.info("memory")["used_memory"])
        try:
            for talk in talks:
                talk.say("And?", max_output_tokens=2)
            assert len(redis.keys("warmturn:kv:*")) < held
            assert checked(client.get("/ready"))["log"]["writable"]
            checked(client.delete(f"/v1/conversations/{talks[0].id}"))
        finally:
            redis.config_set("maxmemory", "0")


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_turn_over_a_restart_of_redis_is_stored_if_it_is_acknowledged(
    rig: Rig, client: httpx.Client, end: str
) -> None:
    talk = Talk.begin(client)
    talk.say("Before.")
    events = begun(talk, "During.")
    getattr(rig.redis, end)()
    rig.redis.start()
    *_, last = events
    acknowledged = last["type"] == "response.incomplete"
    await_ready(client)
    say_when_free(talk, "After.")
    assert talk.texts()[0::2] == ["Before.", *(["During."] if acknowledged else []), "After."]


def test_damaged_words_concern_their_conversation_only(rig: Rig, client: httpx.Client) -> None:
    damaged, sound = Talk.begin(client), Talk.begin(client)
    damaged.say("My cat is called Mirelo.")
    with rig.redis.client() as redis:
        (name,) = redis.keys(f"*:conversation:{damaged.id}")
        redis.hset(name, "head", "w1.nonsense")
    reply = client.post("/v1/responses", json=damaged.body("What is it called?"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "store_corrupt")
    assert sound.say("And here?").id
    assert checked(client.get("/v1/conversations"))["data"]
