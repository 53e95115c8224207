"""A chat service on a fake engine, and a Redis that keeps what it is told."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.server.chat.driver import Chat
from tests.support.redis_server import DURABLE, RedisServer


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    chat = Chat(tmp_path)
    yield chat
    chat.service.close()


@pytest.fixture(scope="session")
def _log_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), *DURABLE) as server:
        yield server


@pytest.fixture
def log_redis(_log_redis: RedisServer) -> RedisServer:
    """An empty Redis that syncs each write; for tests that neither stop nor configure it."""
    with _log_redis.client() as client:
        client.flushall()
    return _log_redis
