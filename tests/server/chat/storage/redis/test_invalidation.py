"""Servers tell each other what was deleted."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from tests.support.redis_server import RedisServer

from warmturn_server.chat import Storage, open_shared_storage
from warmturn_server.chat.storage.redis.invalidation import STREAM, RedisInvalidations
from warmturn_server.chat.storage.redis.values import Signer

Told = list[tuple[str, list[bytes]]]


class Listener:
    """Remembers what it is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: Told = []
        self._heard = threading.Condition()

    def forget(self, tenant: str, keys: Sequence[bytes]) -> None:
        with self._heard:
            self.told.append((tenant, list(keys)))
            self._heard.notify_all()

    def awaited(self, count: int) -> Told:
        with self._heard:
            assert self._heard.wait_for(lambda: len(self.told) >= count, timeout=30), self.told
        return self.told


@pytest.fixture
def servers(log_redis: RedisServer) -> Iterator[list[Storage]]:
    servers = [open_shared_storage(log_redis.url, b"secret") for _ in range(2)]
    yield servers
    for server in servers:
        server.invalidations.close()
        server.locks.close()
        server.store.close()


def test_the_others_are_told_and_not_oneself(servers: list[Storage]) -> None:
    teller, other = Listener(), Listener()
    servers[0].invalidations.follow(teller.forget)
    servers[1].invalidations.follow(other.forget)
    servers[0].invalidations.emit("tenant", [b"one", b"two"])
    servers[1].invalidations.emit("", [b"three"])
    assert other.awaited(1) == [("tenant", [b"one", b"two"])]
    assert teller.awaited(1) == [("", [b"three"])]


def test_a_server_that_was_away_is_told_when_it_comes(servers: list[Storage]) -> None:
    servers[0].invalidations.emit("", [b"one"])
    late = Listener()
    servers[1].invalidations.follow(late.forget)
    assert late.awaited(1) == [("", [b"one"])]


def test_nobody_is_made_to_forget_by_who_can_only_write_to_redis(
    servers: list[Storage], log_redis: RedisServer
) -> None:
    with log_redis.client() as client:
        RedisInvalidations(client, Signer(b"guess")).emit("", [b"theirs"])
        client.xadd(STREAM, {"nonsense": "x"})
    servers[0].invalidations.emit("", [b"one"])
    listener = Listener()
    servers[1].invalidations.follow(listener.forget)
    assert listener.awaited(1) == [("", [b"one"])]


def test_what_is_deleted_does_not_stay_in_redis_for_long(servers: list[Storage], log_redis: RedisServer) -> None:
    servers[0].invalidations.emit("", [b"one"])
    with log_redis.client() as client:
        assert 0 < client.ttl(STREAM) <= 3600


def test_very_many_are_told_in_pieces(servers: list[Storage]) -> None:
    keys = [str(number).encode() for number in range(12_000)]
    servers[0].invalidations.emit("", keys)
    listener = Listener()
    servers[1].invalidations.follow(listener.forget)
    assert [key for _, told in listener.awaited(3) for key in told] == keys
