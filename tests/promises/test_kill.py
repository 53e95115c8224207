"""Promise 2 under SIGKILL: the log holds every acknowledged turn exactly once, and nothing that is half of one."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from tests.conftest import StartServer
from tests.support.models import TinyModels
from tests.support.reference import Reference, assert_greedy
from tests.support.talk import Talk
from tests.support.talkers import ENDINGS, Talker, assert_log_is_whole, await_acknowledged, num_acknowledged

pytestmark = pytest.mark.slow

TALKERS = 5
ROUNDS = 3


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


def test_a_killed_conversation_goes_on_on_its_own_tokens(start_server: StartServer, tiny_models: TinyModels) -> None:
    """Killed in the middle of a turn again and again, at once after the last answer: no state is safe, the log is."""
    server = start_server("--block-size", "8")
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
        assert turn.prompt[: len(before.known)] == before.known
        assert_greedy(reference, turn.prompt, turn.output)
    with server.client() as client:
        assert Talk(client, talk.id).texts()[0::2] == ["Remember this.", "Turn 0.", "Turn 1."]
