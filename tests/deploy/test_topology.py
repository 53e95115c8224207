"""What `docker-compose.yml` describes, as plain processes: two servers, two Redis, HAProxy and Prometheus, on the very
configurations that are shipped."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.deploy.conftest import DEPLOY, Yaml
from tests.support.balancer import Balancer
from tests.support.prometheus import Prometheus
from tests.support.redis_server import RedisServer, free_port
from tests.support.server import ServerProcess
from tests.support.talk import Said, Talk, await_saved, checked
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

KEY: Final = "the operator's key"
LINES: Final = ("And my dog is called Fido.", "What is my cat called?", "And my dog?")


def options() -> tuple[str, ...]:
    """With a port that a server keeps when it is started again."""
    return ("--block-size", "8", "--port", str(free_port()))


def redis_options(name: str) -> list[str]:
    """The shipped configuration, but for where it listens and writes."""
    lines = [line.split(" ", 1) for line in (DEPLOY / name).read_text().splitlines() if line and line[0] != "#"]
    kept = [(key, value.strip('"')) for key, value in lines if key not in ("bind", "dir")]
    return [word for key, value in kept for word in (f"--{key}", value)]


class Topology:
    """Everything running; `client` is connected to the balancer."""

    def __init__(self, model: Path, folder: Path, running: ExitStack) -> None:
        self.log = running.enter_context(RedisServer(folder / "log", *redis_options("redis-log.conf")))
        self.state = running.enter_context(RedisServer(folder / "state", *redis_options("redis-state.conf")))
        environment = {
            "WARMTURN_API_KEY": KEY,
            "WARMTURN_LOG": "redis",
            "WARMTURN_LOG_REDIS": self.log.url,
            "WARMTURN_REDIS": self.state.url,
            "WARMTURN_REDIS_SECRET": "the fleet's secret",
            "WARMTURN_REDIS_WAIT_MS": "60000",  # the machine that runs the tests may be busy
        }
        self.servers = [
            running.enter_context(ServerProcess(model, folder / name / "data", *options(), environment=environment))
            for name in ("one", "two")
        ]
        urls = [server.base_url for server in self.servers]
        self.balancer = running.enter_context(Balancer(urls, folder))
        self.client = running.enter_context(authorised(self.balancer.client()))
        targets = {"warmturn": urls, "balancer": [self.balancer.figures_url]}
        self.prometheus = running.enter_context(Prometheus(targets, KEY, folder / "prometheus"))

    def turns(self) -> list[int]:
        """How many turns each server has had."""
        return [int(stats(server)["totals"]["turns"]) if server.running else -1 for server in self.servers]

    def say(self, talk: Talk, line: str) -> tuple[Said, int]:
        """A turn, and the number of the server that it went to."""
        before = self.turns()
        said = talk.say(line, max_output_tokens=12)
        (went,) = [number for number, (old, new) in enumerate(zip(before, self.turns(), strict=True)) if new == old + 1]
        return said, went

    def say_when_free(self, talk: Talk, line: str) -> Said:
        """The lease of a server that died runs out by itself."""
        deadline = time.monotonic() + 60
        while (asked := self.client.post("/v1/responses", json=talk.body(line, max_output_tokens=12))).is_error:
            assert asked.status_code == 409, asked.text
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return Said.of(asked.json())

    def await_warm(self, talk: Talk) -> None:
        """Ask for it until it is so."""
        warm = f"/v1/conversations/{talk.id}/warm"
        wait_until(lambda: checked(self.client.post(warm))["status"] == "warm", "it never was warm")

    def await_saved(self) -> None:
        """At both servers."""
        for server in self.servers:
            with authorised(server.client()) as client:
                await_saved(client)


class Twin:
    """A conversation behind the balancer, and the same one at a server of its own that nobody disturbs."""

    def __init__(self, topology: Topology, alone: httpx.Client) -> None:
        self.talk, self._twin, self._topology = Talk.begin(topology.client), Talk.begin(alone), topology

    def say(self, line: str) -> tuple[Said, int]:
        said, went = self._topology.say(self.talk, line)
        self.compare(said, line)
        return said, went

    def compare(self, said: Said, line: str) -> None:
        assert said.token_ids == self._twin.say(line, max_output_tokens=12).token_ids


def authorised(client: httpx.Client) -> httpx.Client:
    client.headers["Authorization"] = f"Bearer {KEY}"
    return client


def stats(server: ServerProcess) -> dict[str, Any]:
    with authorised(server.client()) as client:
        found: dict[str, Any] = client.get("/v1/stats").json()
    return found


def held(server: ServerProcess) -> dict[str, int]:
    return {tier: count for tier, count in stats(server)["conversation_turns"].items() if count}


@pytest.fixture(scope="module")
def topology(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with ExitStack() as running:
        yield Topology(model, tmp_path_factory.mktemp("topology"), running)


@pytest.fixture(scope="module")
def homes(topology: Topology, alone: httpx.Client) -> list[list[Twin]]:
    """Conversations by the server they live at, two or more at each."""
    homes: list[list[Twin]] = [[], []]
    for number in range(40):
        twin = Twin(topology, alone)
        went = {twin.say(line)[1] for line in (f"My cat is called {number * 'Mi'}relo.", *LINES[:2])}
        assert len(went) == 1, "a conversation stays at one server"
        homes[went.pop()].append(twin)
        if min(len(twins) for twins in homes) == 2:
            return homes
    raise AssertionError("one server got nothing")


def test_conversations_stay_where_their_state_is(topology: Topology, homes: list[list[Twin]]) -> None:
    for server, twins in zip(topology.servers, homes, strict=True):
        assert set(held(server)) <= {"resident", "ram"}
        assert sum(held(server).values()) == 2 * len(twins)


def test_every_panel_has_something_to_show(
    topology: Topology, homes: list[list[Twin]], expressions: list[tuple[str, str]], dashboard: Yaml
) -> None:
    """But one whose silence has a meaning, which it then says in words."""
    speaking = {panel["title"] for panel in dashboard["panels"] if " " in _without_value(panel)}
    assert homes
    assert topology.client.get("/v1/conversations/conv_none").status_code == 404
    topology.prometheus.await_up(3)
    for counter in ("warmturn_http_requests_total{status='404'}", "haproxy_server_http_responses_total"):
        topology.prometheus.await_that(f"rate({counter}[1m])")
    silent = [title for title, expression in expressions if not topology.prometheus.ask(expression)]
    assert set(silent) <= speaking == {"Saved since the start, checked"}


def _without_value(panel: Yaml) -> str:
    shown: str = panel.get("fieldConfig", {}).get("defaults", {}).get("noValue", "")
    return shown


def test_when_a_server_dies_its_conversations_go_on_at_the_other(topology: Topology, homes: list[list[Twin]]) -> None:
    topology.await_saved()
    topology.servers[0].kill()
    warmed = homes[0][0]
    topology.await_warm(warmed.talk)
    for twin in homes[0]:
        said, went = twin.say(LINES[2])
        assert went == 1
        assert said.report["cached_by_tier"]["ram" if twin is warmed else "redis"] > 0
    assert held(topology.servers[1])["redis"] == len(homes[0]) - 1
    topology.prometheus.await_that('up{job="warmturn"} == 0')


def test_and_come_back_with_it(topology: Topology, homes: list[list[Twin]]) -> None:
    topology.servers[0].start()
    topology.prometheus.await_that('haproxy_server_status{proxy="servers", server="one", state="UP"} == 1')
    topology.await_saved()
    for number, twins in enumerate(homes):
        for twin in twins:
            assert twin.say("Thank you.")[1] == number
    assert held(topology.servers[0]) == {"redis": len(homes[0])}


def test_a_turn_that_was_cut_off_is_not_there_and_can_be_said_again(
    topology: Topology, homes: list[list[Twin]]
) -> None:
    """Last, because it kills for good."""
    twin = homes[1][0]
    before = twin.talk.texts()
    events = twin.talk.stream("Tell me more.", max_output_tokens=800, ignore_eos=True)
    with pytest.raises(httpx.TransportError):
        for event in events:
            if event["type"] == "response.output_text.delta":
                topology.servers[1].kill()
    assert twin.talk.texts() == before
    said = topology.say_when_free(twin.talk, "And my dog?")
    twin.compare(said, "And my dog?")
    assert said.report["cached_by_tier"]["redis"] > 0
