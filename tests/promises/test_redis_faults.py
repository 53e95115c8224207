"""Promise 2 with state in Redis: whatever happens to it, every answer is right, and the tier comes back by itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.fault_proxy import FaultProxy
from tests.support.models import TinyModels
from tests.support.redis_server import RedisServer
from tests.support.reference import Reference, assert_greedy
from tests.support.server import ServerProcess
from tests.support.talk import Json, Said, Talk, await_saved, checked, respond
from tests.support.waiting import wait_until

ONLY_REDIS = ("--block-size", "8", "--kv-memory", "300KiB", "--ram-cache", "0", "--disk-cache", "0")
ENVIRONMENT = {"WARMTURN_REDIS_WAIT_MS": "900", "WARMTURN_PREFILL_BUDGET": "2"}
"""The machine that runs the tests may be busy: a healthy Redis must not be taken for a dead one. And a tiny model would
compute faster than any Redis answers, were it not made to do so in small steps."""
_SECONDS = 60
_ROOM_BYTES = 300_000


@dataclass
class Setting:
    """A server whose state is in Redis and nowhere else, and what lies between the two."""

    redis: RedisServer
    proxy: FaultProxy
    server: ServerProcess
    client: httpx.Client
    reference: Reference

    def say(self, talk: Talk, text: str) -> Said:
        """A turn, proved right against the model itself."""
        said = talk.say(text, max_output_tokens=12)
        assert_greedy(self.reference, said.prompt, said.output)
        assert said.cached + said.report["prefilled_tokens"] == said.report["prompt_tokens"]
        return said

    def evict(self) -> None:
        """Somebody else needs all the memory, once what there is was saved."""
        await_saved(self.client)
        respond(self.client, input="Somebody else needs all the memory.", max_output_tokens=340)

    def talk_that_only_redis_holds(self) -> Talk:
        self.await_tier(True)
        talk = Talk.begin(self.client)
        self.say(talk, "My cat is called Mirelo, and she likes to sleep on the warm stove.")
        self.say(talk, "My dog is called Bruno, and he likes to sleep under it.")
        self.evict()
        return talk

    def redis_tier(self) -> Json:
        tier: Json = checked(self.client.get("/v1/stats"))["tiers"]["redis"]
        return tier

    def await_tier(self, available: bool) -> None:
        never = f"the tier never became available={available}"
        wait_until(lambda: self.redis_tier()["available"] is available, never, _SECONDS)

    def await_reuse(self) -> None:
        """State is kept in Redis and comes from there again.

        A few turns may rightly be computed: what a busy machine measured just after the fault is believed a tenth less
        with each of them.
        """
        for _ in range(30):
            talk = self.talk_that_only_redis_holds()
            report = self.say(talk, "And now?").report
            if report["cached_by_tier"]["redis"] > 0:
                return
        raise AssertionError(f"nothing came from Redis any more: {report}")


@pytest.fixture(scope="module")
def reference(tiny_models: TinyModels) -> Reference:
    return Reference(tiny_models())


@pytest.fixture(scope="module")
def shared(
    tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory, reference: Reference
) -> Iterator[Setting]:
    folder = tmp_path_factory.mktemp("faults")
    with RedisServer(folder / "redis") as redis, FaultProxy(redis.port) as proxy:
        server = ServerProcess(
            tiny_models(), folder / "data", *ONLY_REDIS, "--redis", proxy.url, environment=ENVIRONMENT
        )
        with server, server.client() as client:
            yield Setting(redis, proxy, server, client, reference)


@pytest.fixture
def setting(shared: Setting) -> Iterator[Setting]:
    """Whole again after every test."""
    yield shared
    shared.proxy.heal()


def test_state_that_only_redis_has_is_used(setting: Setting) -> None:
    setting.await_reuse()


FAULTS: dict[str, Callable[[Setting], None]] = {
    "refused": lambda setting: setting.proxy.refuse(),
    "paused": lambda setting: setting.proxy.pause(),
    "slow": lambda setting: setting.proxy.delay(3),
    "stopped": lambda setting: setting.redis.pause(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_redis_that_does_not_answer_costs_state_and_comes_back(setting: Setting, fault: str) -> None:
    talk = setting.talk_that_only_redis_holds()
    FAULTS[fault](setting)
    miss = setting.say(talk, "What is my cat called?").report["miss"]
    assert (miss["at_token"] < 60, miss["reason"], miss["tier"]) == (True, "store_unavailable", "redis")
    assert setting.redis_tier()["available"] is False
    setting.say(talk, "And my dog?")
    setting.proxy.heal()
    setting.redis.resume()
    setting.await_tier(True)
    setting.await_reuse()


@pytest.mark.parametrize("reply_bytes", [1, 700, 7_000, 20_000])
def test_a_connection_cut_in_the_middle_of_a_bulk(setting: Setting, reply_bytes: int) -> None:
    talk = setting.talk_that_only_redis_holds()
    setting.proxy.cut_after(reply_bytes)
    report = setting.say(talk, "What is my cat called?").report
    assert report["miss"] is None or report["miss"]["reason"] in ("store_unavailable", "recompute_faster")
    setting.proxy.heal()
    setting.await_reuse()


def test_a_redis_that_is_killed_and_comes_back_empty(setting: Setting) -> None:
    talk = setting.talk_that_only_redis_holds()
    setting.redis.kill()
    assert setting.say(talk, "What is my cat called?").report["miss"]["reason"] == "store_unavailable"
    setting.redis.start()
    setting.await_tier(True)
    setting.evict()
    setting.redis.client().flushall()
    assert setting.say(talk, "And my dog?").report["miss"]["reason"] == "evicted"
    setting.await_reuse()


def test_a_redis_that_dies_while_a_reply_streams(setting: Setting) -> None:
    talk = setting.talk_that_only_redis_holds()
    for number, event in enumerate(talk.stream("Tell me a long story.", max_output_tokens=60)):
        if number == 6:
            setting.redis.kill()
        last = event
    assert last["type"] == "response.completed"
    said = Said.of(last["response"])
    assert_greedy(setting.reference, said.prompt, said.output)
    setting.redis.start()
    setting.await_reuse()


def test_a_redis_that_is_down_at_the_start(
    start_server: StartServer, redis_server: RedisServer, reference: Reference
) -> None:
    redis_server.kill()
    server = start_server(*ONLY_REDIS, "--redis", redis_server.url, environment=ENVIRONMENT)
    with server.client() as client, FaultProxy(redis_server.port) as unused:
        setting = Setting(redis_server, unused, server, client, reference)
        assert setting.redis_tier()["available"] is False
        setting.say(Talk.begin(client), "Hello.")
        redis_server.start()
        setting.await_tier(True)
    assert "tier redis is off" in server.stderr()
    assert "tier redis is back" in server.stderr()


@pytest.fixture
def full(
    start_server: StartServer, tmp_path: Path, reference: Reference, request: pytest.FixtureRequest
) -> Iterator[Setting]:
    """A Redis that has room for a conversation or two beside what it needs itself, which depends on its version."""
    with RedisServer(tmp_path / "redis", "--maxmemory-policy", request.param) as redis, FaultProxy(redis.port) as proxy:
        with redis.client() as admin:
            admin.config_set("maxmemory", int(admin.info("memory")["used_memory"]) + _ROOM_BYTES)
        server = start_server(*ONLY_REDIS, "--redis", proxy.url, environment=ENVIRONMENT)
        with server.client() as client:
            yield Setting(redis, proxy, server, client, reference)


@pytest.mark.slow
@pytest.mark.parametrize("full", ["allkeys-lru", "volatile-ttl", "noeviction"], indirect=True)
def test_a_redis_without_room_costs_time_only(full: Setting) -> None:
    talks = [Talk.begin(full.client) for _ in range(8)]
    for text in ("The first of several things to remember.", "The second.", "The third."):
        turns = [full.say(talk, f"{number}. {text}") for number, talk in enumerate(talks)]
        full.evict()
    reasons = {turn.report["miss"]["reason"] for turn in turns if turn.report["miss"]}
    assert reasons <= {"evicted", "not_found", "recompute_faster", "store_unavailable", "history_rewritten"}
    assert reasons - {"history_rewritten"}, "what a template rewrote is missing whatever the room"
    with full.redis.client() as admin:
        assert full.redis_tier()["budget_bytes"] == int(admin.info("memory")["maxmemory"])
    full.await_tier(True)
