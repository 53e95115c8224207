"""A chat service on a fake engine, and a Redis that keeps what it is told."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.server.chat.driver import Chat
from tests.server.chat.transcript.test_transcript import TOKENIZERS
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import DURABLE, RedisServer


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    chat = Chat(tmp_path)
    yield chat
    chat.service.close()


@pytest.fixture
async def thinking(tmp_path: Path) -> AsyncIterator[Chat]:
    """The template drops what was thought in earlier replies."""
    chat = Chat(tmp_path, TOKENIZERS["strips_thinking"])
    yield chat
    chat.service.close()


@pytest.fixture(scope="session")
def _log_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), *DURABLE) as server:
        yield server


@pytest.fixture(scope="session")
def _log_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def log_cluster(_log_cluster: RedisCluster) -> RedisCluster:
    """Three empty masters."""
    for node in _log_cluster.nodes:
        with node.client() as client:
            client.flushall()
    return _log_cluster


@pytest.fixture
def log_redis(_log_redis: RedisServer) -> RedisServer:
    """An empty Redis that syncs each write; for tests that neither stop nor configure it."""
    with _log_redis.client() as client:
        client.flushall()
    return _log_redis
