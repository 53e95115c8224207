"""What a turn costs when the log is far away: each question is a round trip."""

from collections.abc import AsyncIterator

import pytest
from tests.server.chat.driver import TOKENIZER, message, user
from tests.server.chat.fake_engine import FakeEngine
from tests.support.redis_server import RedisServer

from warmturn_server.chat import ChatService, Item, Peers, Transcriber, Turn, TurnRequest
from warmturn_server.chat.storage.redis.locks import RedisLocks
from warmturn_server.chat.storage.redis.scripts import ScriptRunner
from warmturn_server.chat.storage.redis.store import RedisStore
from warmturn_server.chat.storage.redis.values import Signer


class CountingRunner(ScriptRunner):
    round_trips = 0

    def _exchange(self, *arguments: object) -> object:
        self.round_trips += 1
        return super()._exchange(*arguments)  # type: ignore[arg-type]


class Counted:
    def __init__(self, server: RedisServer) -> None:
        self.runner = CountingRunner(server.client())
        locks = RedisLocks(self.runner, renew_seconds=600)
        self.service = ChatService(
            RedisStore(self.runner, Signer()), FakeEngine(TOKENIZER), Transcriber(TOKENIZER), Peers(locks)
        )

    async def turn(self, *items: Item, **where: object) -> tuple[Turn, int]:
        before = self.runner.round_trips
        running = await self.service.start(TurnRequest(items, stored=True, **where))  # type: ignore[arg-type]
        async for _ in running.deltas():
            pass
        running.close()
        return running.result, self.runner.round_trips - before


@pytest.fixture
async def counted(log_redis: RedisServer) -> AsyncIterator[Counted]:
    counted = Counted(log_redis)
    made = await counted.service.conversations.create("", [], {})
    await counted.turn(user("so that Redis knows the scripts"), conversation_id=made.id)
    yield counted
    counted.service.close()


async def test_in_a_conversation_lease_reading_commit(counted: Counted) -> None:
    """The first turn of one looks for a beginning that others have too, and so takes more."""
    made = await counted.service.conversations.create("", [], {})
    await counted.turn(user("hello"), conversation_id=made.id)
    for number in range(3):
        _, round_trips = await counted.turn(user(f"hello {number}"), conversation_id=made.id)
        assert round_trips == 3


async def test_on_a_response_turns_record_commit(counted: Counted) -> None:
    first, _ = await counted.turn(user("hello"))
    second, _ = await counted.turn(user("and?"), previous_response_id=first.id)
    _, round_trips = await counted.turn(user("and?"), previous_response_id=second.id)
    assert round_trips == 3


async def test_for_who_sends_everything_again_finding_records_children_commit(counted: Counted) -> None:
    long = "what is there to say about lighthouses " * 5
    items = [user(long)]
    for _ in range(3):
        answered, _ = await counted.turn(*items)
        items += [message("assistant", answered.output[0].text), user(long)]
    _, round_trips = await counted.turn(*items)
    assert round_trips == 4
