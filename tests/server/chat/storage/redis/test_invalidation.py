"""Servers tell each other what was deleted."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from tests.server.chat.making import append, record, turn
from tests.support.redis_server import RedisServer

from warmturn_server.chat import Storage, TurnId, open_shared_storage
from warmturn_server.chat.storage.invalidation import longest
from warmturn_server.chat.storage.redis.invalidation import RedisInvalidations
from warmturn_server.chat.storage.redis.values import Signer
from warmturn_server.chat.storage.store import Forgotten
from warmturn_server.chat.transcript.records import Record

Told = list[tuple[str, tuple[int, ...], int]]


class Listener:
    """Remembers what it is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: Told = []
        self._heard = threading.Condition()

    def forget(self, tenant: str, token_ids: Sequence[int], keep_tokens: int) -> None:
        with self._heard:
            self.told.append((tenant, tuple(token_ids), keep_tokens))
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


def forgotten(*token_ids: int, keep: int = 0) -> Forgotten:
    return Forgotten(Record(token_ids, token_ids, ""), keep)


def test_the_others_are_told_and_not_oneself(servers: list[Storage]) -> None:
    teller, other = Listener(), Listener()
    servers[0].invalidations.follow(teller.forget)
    servers[1].invalidations.follow(other.forget)
    servers[0].store.append(append(turn("a"), record("a", "abc")))
    servers[0].invalidations.emit("tenant", servers[0].store.withdraw("", TurnId("a")))
    servers[1].invalidations.emit("", [forgotten(7, 8, keep=1)])
    assert other.awaited(1) == [("tenant", (97, 98, 99), 0)]
    assert teller.awaited(1) == [("", (7, 8), 1)]


def test_a_server_that_was_away_is_told_when_it_comes(servers: list[Storage]) -> None:
    servers[0].invalidations.emit("", [forgotten(1, 2, 3)])
    late = Listener()
    servers[1].invalidations.follow(late.forget)
    assert late.awaited(1) == [("", (1, 2, 3), 0)]


def test_nobody_is_made_to_forget_by_who_can_only_write_to_redis(
    servers: list[Storage], log_redis: RedisServer
) -> None:
    with log_redis.client() as client:
        RedisInvalidations(client, Signer(b"guess")).emit("", [forgotten(6, 6, 6)])
        client.xadd("warmturn:log:forgotten", {"nonsense": "x"})
    servers[0].invalidations.emit("", [forgotten(1)])
    listener = Listener()
    servers[1].invalidations.follow(listener.forget)
    assert listener.awaited(1) == [("", (1,), 0)]


def test_what_is_deleted_does_not_stay_in_redis_for_long(servers: list[Storage], log_redis: RedisServer) -> None:
    servers[0].invalidations.emit("", [forgotten(1)])
    with log_redis.client() as client:
        assert 0 < client.ttl("warmturn:log:forgotten") <= 3600


def test_only_the_longest_of_those_that_begin_alike_is_told() -> None:
    whole, begun, branch = forgotten(1, 2, 3), forgotten(1, 2), forgotten(1, 9)
    assert longest([begun, whole, branch]) == [whole, branch]
    assert longest([begun, forgotten(1, 2, 3, keep=2)]) == [forgotten(1, 2, 3, keep=2), begun]
