"""Promise 2 over several servers: they die, sleep or restart."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from tests.support.fleet import LEASE_SECONDS, SECRET, Fleet, say_when_free
from tests.support.load import History, Load, assert_log_is_true
from tests.support.models import TinyModels
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk

pytestmark = pytest.mark.slow

MANY = 40
"""So many that none grows beyond the model's context while a server starts."""
ENDINGS = ("response.completed", "response.incomplete")


@pytest.fixture(scope="module")
def _fleet(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tiny_models(), tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def fleet(_fleet: Fleet) -> Fleet:
    """Whole again after what the test before did to it."""
    for server in _fleet.servers:
        if not server.running:
            server.start()
    return _fleet


def begin(fleet: Fleet, count: int = MANY) -> list[str]:
    with fleet.servers[0].client() as client:
        return [Talk.begin(client).id for _ in range(count)]


def test_a_killed_servers_conversation_goes_on_at_the_other(fleet: Fleet) -> None:
    """Token for token as one that nobody killed."""
    texts = ["My cat is called Mirelo.", "And my dog is called Tesso.", "What are they called?"]
    killed, other = fleet.servers
    with killed.client() as client, other.client() as survivor:
        talk, quiet = Talk.begin(client), Talk.begin(survivor)
        said = [talk.say(texts[0])]
        events = talk.stream("Never answered.", max_output_tokens=1000, ignore_eos=True)
        for event, _ in zip(events, range(8), strict=False):
            assert event["type"] not in ENDINGS
        killed.kill()
        there = Talk(survivor, talk.id)
        said += [there.say(text) for text in texts[1:]]  # nobody is told to come again
        uninterrupted = [quiet.say(text) for text in texts]
        assert [turn.token_ids for turn in said] == [turn.token_ids for turn in uninterrupted]
        assert there.texts()[0::2] == texts


def test_a_server_that_slept_past_its_lease_cannot_commit(fleet: Fleet) -> None:
    sleeper, other = fleet.servers
    with sleeper.client() as client, other.client() as awake:
        talk = Talk.begin(client)
        with asleep_in_a_turn(sleeper, talk) as events:
            taken_over = say_when_free(Talk(awake, talk.id), "I take over.")
        assert_refused_as_stale(events)
        assert Talk(awake, talk.id).texts() == ["I take over.", taken_over.text]
        assert talk.say("Here again.").prompt[: len(taken_over.prompt)] == taken_over.prompt


def test_nor_while_the_one_who_took_over_is_still_talking(fleet: Fleet) -> None:
    sleeper, other = fleet.servers
    with sleeper.client() as client, other.client() as awake:
        talk = Talk.begin(client)
        with asleep_in_a_turn(sleeper, talk) as events:
            taking_over = stream_when_free(Talk(awake, talk.id), "I take over.")
            os.kill(other.pid, signal.SIGSTOP)
        try:
            assert_refused_as_stale(events)
            assert talk.texts() == [], "nobody has committed anything yet"
        finally:
            os.kill(other.pid, signal.SIGCONT)
        *_, last = taking_over
        assert last["type"] == "response.incomplete"
        assert len(talk.texts()) == 2


def test_a_turn_that_nobody_took_over_is_kept_however_long_it_slept(fleet: Fleet) -> None:
    sleeper, other = fleet.servers
    with sleeper.client() as client, other.client() as awake:
        talk = Talk.begin(client)
        with asleep_in_a_turn(sleeper, talk) as events:
            time.sleep(LEASE_SECONDS + 1)
        *_, last = events
        assert last["type"] == "response.incomplete"
        assert len(Talk(awake, talk.id).texts()) == 2


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_restarting_servers_under_load_loses_no_acknowledged_turn(fleet: Fleet, end: str) -> None:
    conversations = begin(fleet)
    with Load(fleet.servers, conversations, threads=4, pause_seconds=0.05) as history:
        for server in fleet.servers:
            await_acknowledged(history, 15)
            if end == "SIGTERM":
                assert server.terminate() == 0
            else:
                server.kill()
            server.start()
        await_acknowledged(history, 15)
    assert_log_is_true(fleet.redis, SECRET, conversations, history)


def test_restarting_redis_under_load_loses_no_acknowledged_turn(fleet: Fleet) -> None:
    conversations = begin(fleet)
    with Load(fleet.servers, conversations, threads=4, pause_seconds=0.05) as history:
        for _ in range(3):
            await_acknowledged(history, 15)
            fleet.redis.kill()
            time.sleep(0.3)
            fleet.redis.start()
        await_acknowledged(history, 15)
    assert_log_is_true(fleet.redis, SECRET, conversations, history)


def stream_when_free(talk: Talk, text: str) -> Iterator[Json]:
    """The rest of a long turn's events, once its first one has come."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        events = talk.stream(text, max_output_tokens=1000, ignore_eos=True)
        try:
            next(events)
            return events
        except httpx.HTTPStatusError as refused:
            assert refused.response.status_code == 409
            time.sleep(0.5)
    raise AssertionError("the conversation never became free")


@contextmanager
def asleep_in_a_turn(server: ServerProcess, talk: Talk) -> Iterator[Iterator[Json]]:
    """In the middle of a turn the server's process stops, until the block is over."""
    events = talk.stream("Never answered.", max_output_tokens=1000, ignore_eos=True)
    for _, event in zip(range(8), events, strict=False):
        assert event["type"] not in ENDINGS
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield events
    finally:
        os.kill(server.pid, signal.SIGCONT)


def assert_refused_as_stale(events: Iterator[Json]) -> None:
    *_, failed, error = events
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert (error["type"], error["code"]) == ("error", "conversation_changed")


def await_acknowledged(history: History, more: int) -> None:
    """Until so many more turns have succeeded: then the load really runs."""
    enough, deadline = history.count("acknowledged") + more, time.monotonic() + 60
    while history.count("acknowledged") < enough:
        assert time.monotonic() < deadline, "no turn succeeds any more"
        time.sleep(0.05)
