"""Leases over servers: one holder at a time, and a stale one cannot commit."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
import redis
from tests.server.chat.making import append, conversation, turn
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

from warmturn_server.chat import ConversationId, Storage, StoreFailed, VersionConflict, open_shared_storage
from warmturn_server.chat.storage.locks import holding
from warmturn_server.chat.storage.redis import locks
from warmturn_server.chat.storage.redis.locks import RedisLocks
from warmturn_server.chat.storage.redis.scripts import ScriptRunner
from warmturn_server.errors import Conflict

C = ConversationId("conv_1")


@pytest.fixture
def servers(log_redis: RedisServer) -> Iterator[list[Storage]]:
    servers = [open_shared_storage(log_redis.url) for _ in range(2)]
    servers[0].store.create(conversation(C))
    yield servers
    for server in servers:
        server.locks.close()
        server.store.close()


async def test_who_comes_second_is_told_when_to_come_again(servers: list[Storage]) -> None:
    await servers[0].locks.acquire("", C)
    for server in servers:
        with pytest.raises(Conflict) as refused:
            await server.locks.acquire("", C)
        assert refused.value.code == "conversation_locked"
    assert refused.value.retry_after_seconds in range(1, 6)


class TestWhoseProcessIsGone:
    """As Redis sees it: nothing is renewed any more, and the connection is closed."""

    async def test_leaves_what_it_held_to_who_comes_next(self, servers: list[Storage]) -> None:
        """Who need not even be told to come again."""
        lease = await servers[0].locks.acquire("", C)
        servers[0].locks.close()
        taken = await servers[1].locks.acquire("", C)
        assert taken.fence == lease.fence + 1
        with pytest.raises(VersionConflict, match="Another server"):
            servers[0].store.append(replace(append(turn("stale", conversation=C)), lease=lease))

    async def test_while_one_waits_for_it_the_log_is_asked_other_things(
        self, servers: list[Storage], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server that dies leaves as many as it had turns running; they may not take all threads."""
        monkeypatch.setattr(locks, "_LOOK_AGAIN_SECONDS", 60)
        await servers[0].locks.acquire("", C)
        servers[0].locks.close()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        taking = asyncio.ensure_future(servers[1].locks.acquire("", C))
        await asyncio.sleep(0)
        await asyncio.to_thread(servers[1].store.conversation, "", C)
        assert not taking.done()
        taking.cancel()

    async def test_and_no_second_one_takes_it_then(self, servers: list[Storage], log_redis: RedisServer) -> None:
        await servers[0].locks.acquire("", C)
        servers[0].locks.close()
        await servers[1].locks.acquire("", C)
        third = open_shared_storage(log_redis.url)
        with pytest.raises(Conflict):
            await third.locks.acquire("", C)
        third.locks.close()
        third.store.close()

    async def test_is_told_from_one_that_only_lost_its_connection(
        self, servers: list[Storage], log_redis: RedisServer
    ) -> None:
        """That renews what it holds all the same."""
        with log_redis.client() as client:
            holder = RedisLocks(ScriptRunner(client), renew_seconds=0.1)
            await holder.acquire("", C)
            with without_rights(client, "resetchannels", "allchannels"):
                client.client_kill_filter(_type="pubsub")
                with pytest.raises(Conflict) as refused:
                    await servers[1].locks.acquire("", C)
                assert client.pubsub_channels("warmturn:alive:*") == []
            holder.close()
        assert refused.value.retry_after_seconds in range(1, 6)

    async def test_is_told_from_one_that_is_asleep(self, log_redis: RedisServer, servers: list[Storage]) -> None:
        """Its connection is open, whatever else it does not do."""
        with log_redis.client() as client:
            sleeper = RedisLocks(ScriptRunner(client), renew_seconds=60)
            await sleeper.acquire("", C)
            with pytest.raises(Conflict):
                await servers[1].locks.acquire("", C)
            sleeper.close()

    async def test_where_nobody_may_subscribe_leases_run_out(
        self, servers: list[Storage], log_redis: RedisServer
    ) -> None:
        with log_redis.client() as client, without_rights(client, "-subscribe", "+subscribe"):
            unseen = RedisLocks(ScriptRunner(client), lease_seconds=60, renew_seconds=60)
            await unseen.acquire("", C)
            with pytest.raises(Conflict):
                await servers[1].locks.acquire("", C)
            run_out(client)
            await servers[1].locks.acquire("", C)
            unseen.close()


def run_out(client: redis.Redis, milliseconds: int = 1) -> None:
    """What is left of the lease's time is over, if nobody renews it."""
    name = lease_name(client)
    assert 0 < client.pttl(name) <= 60_000
    client.pexpire(name, milliseconds)
    wait_until(lambda: not client.exists(name), "it is renewed")


def lease_name(client: redis.Redis) -> bytes:
    (name,) = client.keys("*lease*")
    assert isinstance(name, bytes)
    return name


@contextmanager
def without_rights(client: redis.Redis, taken: str, given: str) -> Iterator[None]:
    """Nobody has them for as long as this lasts."""
    client.execute_command("ACL", "SETUSER", "default", taken)  # type: ignore[no-untyped-call]
    yield
    client.execute_command("ACL", "SETUSER", "default", given)  # type: ignore[no-untyped-call]
    client.acl_log_reset()


async def test_who_only_looks_changes_nothing(servers: list[Storage], log_redis: RedisServer) -> None:
    """However many do: who was late to renew its lease goes on."""
    with log_redis.client() as client:
        late = RedisLocks(ScriptRunner(client), lease_seconds=60, renew_seconds=60)
        await late.acquire("", C)
        assert [await locks.is_held("", C) for locks in (late, servers[1].locks)] == [True, True]
        run_out(client)
        assert not any(await asyncio.gather(*(servers[1].locks.is_held("", C) for _ in range(4))))
        late._renew_all()
        assert await servers[1].locks.is_held("", C)
        late.close()


async def test_a_commit_lets_go_at_once(servers: list[Storage]) -> None:
    lease = await servers[0].locks.acquire("", C)
    servers[0].store.append(replace(append(turn("a", conversation=C)), lease=lease))
    assert (await servers[1].locks.acquire("", C)).fence == lease.fence + 1


async def test_the_same_server_need_not_wait_for_its_own_release(servers: list[Storage]) -> None:
    for _ in range(20):
        async with holding(servers[0].locks, "", C):
            pass


async def test_what_is_released_is_soon_free_elsewhere(servers: list[Storage]) -> None:
    async with holding(servers[0].locks, "", C):
        pass
    for _ in range(200):
        try:
            await servers[1].locks.acquire("", C)
            return
        except Conflict:
            await asyncio.sleep(0.02)
    raise AssertionError("never released")


async def test_tenants_and_conversations_do_not_hinder_each_other(servers: list[Storage]) -> None:
    servers[0].store.create(conversation("other"))
    servers[0].store.create(conversation(C, tenant="other"))
    for place in (("", C), ("", ConversationId("other")), ("other", C)):
        await servers[0].locks.acquire(*place)


async def test_a_lease_is_kept_while_it_is_held_and_runs_out_when_its_server_is_gone(
    servers: list[Storage], log_redis: RedisServer
) -> None:
    with log_redis.client() as client:
        keeper = RedisLocks(ScriptRunner(client), lease_seconds=60, renew_seconds=0.1)
        await keeper.acquire("", C)
        client.pexpire(lease_name(client), 30_000)
        wait_until(lambda: client.pttl(lease_name(client)) > 31_000, "it is not renewed")
        with pytest.raises(Conflict):
            await servers[1].locks.acquire("", C)
        keeper.close()  # it renews no more, and has released nothing
        run_out(client, milliseconds=500)
        await servers[1].locks.acquire("", C)


class TestAStaleHolder:
    async def test_cannot_commit_though_nobody_else_has_yet(
        self, servers: list[Storage], log_redis: RedisServer
    ) -> None:
        stale = await self.sleep_past(servers[0], log_redis)
        fresh = await servers[1].locks.acquire("", C)
        with pytest.raises(VersionConflict, match="Another server"):
            servers[0].store.append(replace(append(turn("stale", conversation=C)), lease=stale))
        servers[1].store.append(replace(append(turn("fresh", conversation=C)), lease=fresh))
        kept = servers[0].store.conversation("", C)
        assert kept and (kept.head, kept.version) == ("fresh", 1)

    async def test_does_not_release_the_next_ones_lease(self, servers: list[Storage], log_redis: RedisServer) -> None:
        stale = await self.sleep_past(servers[0], log_redis)
        await servers[1].locks.acquire("", C)
        servers[0].locks.release(stale)
        servers[0].locks.close()
        with log_redis.client() as client:
            assert len(client.keys("*lease*")) == 1

    async def test_goes_on_when_nobody_came(self, servers: list[Storage], log_redis: RedisServer) -> None:
        lease = await self.sleep_past(servers[0], log_redis)
        servers[0].store.append(replace(append(turn("late", conversation=C)), lease=lease))
        kept = servers[1].store.conversation("", C)
        assert kept and kept.head == "late"

    @staticmethod
    async def sleep_past(server: Storage, log_redis: RedisServer):  # type: ignore[no-untyped-def]
        """As if the server had been stopped for longer than its lease."""
        lease = await server.locks.acquire("", C)
        with log_redis.client() as client:
            client.delete(lease_name(client))
        return lease


async def test_a_caller_who_goes_away_while_it_is_taken_leaves_no_lease(servers: list[Storage]) -> None:
    taking = asyncio.ensure_future(servers[0].locks.acquire("", C))
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    for _ in range(200):
        try:
            await servers[0].locks.acquire("", C)
            return
        except Conflict:
            await asyncio.sleep(0.02)
    raise AssertionError("nobody ever released it")


async def test_a_redis_that_is_away_refuses_and_blocks_nobody(servers: list[Storage]) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    class Away(ScriptRunner):
        def _call(self, *_: object, **__: object) -> object:
            time.sleep(0.1)
            raise redis.ConnectionError("away")

    away = RedisLocks(Away(servers[0].store._scripts.client))  # type: ignore[attr-defined]
    ticking = asyncio.ensure_future(tick())
    with pytest.raises(StoreFailed):
        await away.acquire("", C)
    ticking.cancel()
    assert ticks > 5
    away.close()
