"""Promise 2 under SIGKILL: the log holds every acknowledged turn exactly once, and nothing that is half of one."""

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.launch import fresh
from tests.support.models import TinyModels
from tests.support.reference import Reference, assert_greedy
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk, checked
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

TALKERS = 5
ROUNDS = 3
ENDINGS = ("response.completed", "response.incomplete")


@dataclass
class Talker:
    """Talks in one conversation, streaming, until the server is gone; remembers what was acknowledged."""

    number: int
    conversation: str
    asked: list[str] = field(default_factory=list)
    acknowledged: list[tuple[str, Json]] = field(default_factory=list)

    def talk_until_it_breaks(self, server: ServerProcess) -> None:
        with server.client() as client, contextlib.suppress(httpx.TransportError):
            while True:
                self.say(Talk(client, self.conversation), f"{self.number}: message {len(self.asked)}.")

    def say(self, talk: Talk, text: str) -> None:
        self.asked.append(text)
        for event in talk.stream(text, max_output_tokens=10):
            assert event["type"] not in ("error", "response.failed"), event
            if event["type"] in ENDINGS:
                self.acknowledged.append((text, event["response"]))


def test_every_acknowledged_turn_is_in_the_log_exactly_once(start_server: StartServer, tiny_models: TinyModels) -> None:
    server = start_server("--block-size", "8")
    with server.client() as client:
        talkers = [Talker(number, Talk.begin(client).id) for number in range(TALKERS)]
    reference = Reference(tiny_models())
    for round_number in range(ROUNDS):
        with ThreadPoolExecutor(TALKERS) as threads:
            talking = [threads.submit(talker.talk_until_it_breaks, server) for talker in talkers]
            await_acknowledged(talkers, 2 * TALKERS)
            time.sleep(0.17 * round_number)
            server.kill()
        assert [future.exception() for future in talking] == [None] * TALKERS
        server.start()
        with server.client() as client:
            for talker in talkers:
                assert_log_is_whole(talker, Talk(client, talker.conversation))
    assert num_acknowledged(talkers) > TALKERS * ROUNDS
    assert sum(len(talker.asked) - len(talker.acknowledged) for talker in talkers) >= ROUNDS
    for talker in talkers:
        said = talker.acknowledged[-1][1]["warmturn"]
        assert_greedy(reference, said["prompt_token_ids"], said["output_token_ids"])


def num_acknowledged(talkers: Sequence[Talker]) -> int:
    return sum(len(talker.acknowledged) for talker in talkers)


def await_acknowledged(talkers: Sequence[Talker], more: int) -> None:
    enough = num_acknowledged(talkers) + more
    wait_until(lambda: num_acknowledged(talkers) >= enough, "no turn succeeds any more", seconds=60)


def assert_log_is_whole(talker: Talker, talk: Talk) -> None:
    texts = talk.texts()
    asked, answered = texts[0::2], texts[1::2]
    assert len(asked) == len(answered), "a turn is whole or not there"
    assert max(Counter(asked).values(), default=1) == 1
    assert set(asked) <= set(talker.asked), "nothing that nobody said"
    assert asked == sorted(asked, key=talker.asked.index)
    log = dict(zip(asked, answered, strict=True))
    for text, response in talker.acknowledged:
        assert log[text] == response["output"][0]["content"][0]["text"]
        stored = checked(talk.client.get(f"/v1/responses/{response['id']}"))
        assert stored["output"] == response["output"]
    unacknowledged = set(talker.asked) - {text for text, _ in talker.acknowledged}
    assert set(asked) - unacknowledged == {text for text, _ in talker.acknowledged}


def test_a_killed_conversation_goes_on_on_its_own_tokens(start_server: StartServer, tiny_models: TinyModels) -> None:
    """Killed in the middle of a turn again and again, at once after the last answer: no state is safe, the log is."""
    server = start_server("--block-size", "8", launch=fresh)
    reference = Reference(tiny_models())
    with server.client() as client:
        talk = Talk.begin(client)
        said = [talk.say("Remember this.", max_output_tokens=8)]
    for number in range(2):
        with server.client() as client:
            events = Talk(client, talk.id).stream(f"Never answered {number}.", max_output_tokens=500, ignore_eos=True)
            for event, _ in zip(events, range(6 * number + 1), strict=False):
                assert event["type"] not in ENDINGS
            server.kill()
        server.start()
        with server.client() as client:
            said.append(Talk(client, talk.id).say(f"Turn {number}.", max_output_tokens=8))
    for before, turn in pairwise(said):
        assert turn.prompt[: len(before.token_ids) - 1] == before.token_ids[:-1]
        assert_greedy(reference, turn.prompt, turn.output)
    with server.client() as client:
        assert Talk(client, talk.id).texts()[0::2] == ["Remember this.", "Turn 0.", "Turn 1."]
