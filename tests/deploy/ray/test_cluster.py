"""Ray Serve on two nodes of this machine: what must hold while replicas come, go and die.

`pip install -e '.[ray]'`, then `WARMTURN_TESTS_RAY=1 pytest -m ray`: minutes.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from threading import Thread

import httpx
import pytest
from tests.deploy.conftest import DEPLOY
from tests.support.load import History, Load, assert_log_is_true
from tests.support.prometheus import Prometheus
from tests.support.ray_cluster import KEY, SECRET, RayCluster
from tests.support.talk import Json, Said, Talk

from warmturn import Client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.environ.get("WARMTURN_TESTS_RAY"),
        reason="starts clusters of Ray for minutes: pip install -e '.[ray]', WARMTURN_TESTS_RAY=1",
    ),
]

LINES = ("My cat is called Mirelo.", "And my dog is called Fido.", "What are they called?")
MANY = 40
"""So many that none grows beyond the model's context meanwhile."""
Histories = dict[tuple[str, ...], History]
LONG: Json = {"max_output_tokens": 1_500, "ignore_eos": True}


@pytest.fixture(scope="module")
def cluster(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    with RayCluster(model, tmp_path_factory.mktemp("ray")) as cluster:
        yield cluster


def say(talk: Talk, line: str) -> tuple[int, ...]:
    return talk.say(line, max_output_tokens=12).token_ids


def test_conversations_stay_where_their_state_is(cluster: RayCluster) -> None:
    """Whether the client names them in a header, as ours does, or in the body alone."""
    cluster.serve(replicas="2")
    cluster.await_replicas(2)
    with cluster.client() as client, Client(cluster.base_url, KEY) as ours:
        talks = [Talk.begin(client) for _ in range(8)]
        for line in LINES:
            for number, talk in enumerate(talks):
                if number % 2:
                    say(talk, line)
                else:
                    ours.respond(line, conversation=talk.id, max_output_tokens=12)
    held = cluster.held()
    print("held:", held)
    assert set(held) <= {"resident", "ram"}
    assert sum(held.values()) == 2 * len(talks)
    assert sum("resident" in text for text in cluster.figures().values()) == 2


def test_prometheus_finds_every_replica(cluster: RayCluster, tmp_path: Path) -> None:
    cluster.await_replicas(2)
    config = tmp_path / "prometheus.yml"
    shipped = (DEPLOY / "ray" / "prometheus.yml").read_text()
    config.write_text(shipped.replace("http://127.0.0.1:8000", cluster.base_url))
    with Prometheus({}, KEY, tmp_path / "prometheus", config) as prometheus:
        prometheus.await_that('count(up{job="warmturn"} == 1) == 2')
        found = prometheus.ask("count by (instance) (warmturn_requests_running)")
    assert {series["metric"]["instance"] for series in found} == set(cluster.replicas())


@pytest.mark.parametrize("killed", ["node", "replica"])  # what replaces a replica may be at the first node as well
def test_what_was_cut_off_goes_on_at_another_replica(cluster: RayCluster, alone: httpx.Client, killed: str) -> None:
    """Within the lease, each acknowledged turn once, token for token as a conversation that nobody disturbed."""
    cluster.await_replicas(2)
    with cluster.client() as client:
        talk, twin = _somewhere(cluster, client, on_second=killed == "node"), Talk.begin(alone)
        assert say(talk, LINES[0]) == say(twin, LINES[0])
        events = talk.stream("Talk for long.", **LONG)
        with pytest.raises(httpx.TransportError):
            for event in events:
                if event["type"] == "response.output_text.delta":
                    replica = cluster.busy()
                    if killed == "node":
                        cluster.kill_second_node()
                    else:
                        cluster.kill(replica)
                    died = time.monotonic()
                    break
            for _ in events:
                pass
        asked = client.post("/v1/responses", json=talk.body(LINES[1], max_output_tokens=12))
        refusals = list[str]()
        while asked.is_error:
            refusals.append(asked.json()["error"]["code"])
            assert refusals[-1] in ("conversation_locked", "server_gone", "no_server"), asked.text
            time.sleep(float(asked.headers.get("retry-after", "0.2")))
            asked = client.post("/v1/responses", json=talk.body(LINES[1], max_output_tokens=12))
        print(f"{killed}: on after {time.monotonic() - died:.1f} s, refused: {refusals}")
        report = asked.json()["warmturn"]
        assert (*report["prompt_token_ids"], *report["output_token_ids"]) == say(twin, LINES[1])
        assert say(talk, LINES[2]) == say(twin, LINES[2])
        assert talk.texts() == twin.texts()


def _somewhere(cluster: RayCluster, client: httpx.Client, *, on_second: bool) -> Talk:
    """A conversation that lives on the second node, or anywhere."""
    for _ in range(40):
        talk = Talk.begin(client)
        with closing(talk.stream("Where are you?", **LONG)) as events:
            next(events)
            home = cluster.node_of(cluster.busy())
        if not on_second or home == cluster.second_node:
            return talk
    raise AssertionError("no replica is on the second node")


def test_a_rolling_update_to_another_fingerprint_loses_nothing(cluster: RayCluster) -> None:
    histories = under_load(cluster, lambda: cluster.serve(replicas="2", block_size="16"))
    assert_all_acknowledged(cluster, histories)


def test_from_one_replica_to_three_and_back_loses_nothing(cluster: RayCluster) -> None:
    cluster.serve(replicas="1", block_size="16")

    def rescale() -> None:
        cluster.serve(replicas="3", block_size="16")
        cluster.await_replicas(3)
        cluster.serve(replicas="1", block_size="16")
        cluster.await_replicas(1)

    assert_all_acknowledged(cluster, under_load(cluster, rescale))


def test_there_are_as_many_replicas_as_the_load_takes_and_nothing_is_lost(
    cluster: RayCluster, alone: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One to three while many talk, and back while one goes on, by Serve itself; tokens as where nobody disturbed."""
    monkeypatch.setattr("warmturn_server.ray.application._MORE_AFTER_SECONDS", 1.0)
    monkeypatch.setattr("warmturn_server.ray.application._FEWER_AFTER_SECONDS", 1.0)
    cluster.serve(max_replicas="3", turns_per_replica="2", block_size="16")
    cluster.await_replicas(1)
    many = Histories()

    def come_and_go() -> None:
        begun = time.monotonic()
        many.update(under_load(cluster, lambda: cluster.await_running(3), talkers=8, pause_seconds=0))
        more = time.monotonic()
        cluster.await_running(1)
        print(f"three after {more - begun:.0f} s, one {time.monotonic() - more:.0f} s after most had gone")

    histories = {**under_load(cluster, come_and_go, talkers=1), **many}
    assert_all_acknowledged(cluster, histories)
    assert_tokens_as_of(alone, histories)


def test_a_turn_that_takes_longer_than_a_replica_may_stay_ends_as_incomplete(cluster: RayCluster) -> None:
    cluster.serve(replicas="1", block_size="8", drain_seconds="1")
    with cluster.client() as client:
        talk, events = Talk.begin(client), list[Json]()
        reading = Thread(target=lambda: events.extend(talk.stream("Talk for long.", **LONG)))
        reading.start()
        cluster.busy()
        cluster.serve(replicas="1", block_size="16", drain_seconds="1")
        reading.join(120)
        assert events[-1]["type"] == "response.incomplete"
        assert talk.texts() == ["Talk for long.", events[-1]["response"]["output"][0]["content"][0]["text"]]


def under_load(
    cluster: RayCluster, act: Callable[[], object], *, talkers: int = 2, pause_seconds: float = 0.2
) -> Histories:
    """What those who talk all the time were told, by their conversations."""
    with cluster.client() as client:
        theirs = [tuple(Talk.begin(client).id for _ in range(MANY)) for _ in range(talkers)]
    with ExitStack() as talking:
        histories = {
            conversations: talking.enter_context(Load([cluster], conversations, threads=1, pause_seconds=pause_seconds))
            for conversations in theirs
        }
        act()
    return histories


def assert_all_acknowledged(cluster: RayCluster, histories: Histories) -> None:
    for conversations, history in histories.items():
        print("turns:", len(history.asked), "acknowledged:", history.count("acknowledged"))
        assert history.count("acknowledged") == len(history.asked) > 3
        assert_log_is_true(cluster.redis, SECRET, conversations, history)


def assert_tokens_as_of(alone: httpx.Client, histories: Histories) -> None:
    twins = defaultdict[str, Talk](lambda: Talk.begin(alone))
    for asked in chain.from_iterable(history.asked for history in histories.values()):
        said = twins[asked.conversation].say(asked.text, max_output_tokens=2)
        assert Said.of(asked.response).token_ids == said.token_ids
