"""A renewal that is on its way when its lease is let go must not take it again."""

from dataclasses import replace

import pytest
from tests.server.chat.making import append, conversation, turn
from tests.support.redis_server import RedisServer

from warmturn_server.chat import ConversationId, open_shared_storage
from warmturn_server.chat.storage.redis.scripts import Script, ScriptRunner

C = ConversationId("conv_1")


@pytest.mark.parametrize("let_go", ["committed", "released"])
async def test_a_late_renewal_takes_nothing(log_redis: RedisServer, let_go: str) -> None:
    servers = [open_shared_storage(log_redis.url) for _ in range(2)]
    servers[0].store.create(conversation(C))
    lease = await servers[0].locks.acquire("", C)
    with log_redis.client() as client:
        runner = ScriptRunner(client)
        renewal = (Script("renew"), "", C, lease.token, lease.fence, 5000)
        assert runner.try_once(*renewal)[0] == b"held"
        if let_go == "committed":
            servers[0].store.append(replace(append(turn("a", conversation=C)), lease=lease))
        else:
            runner.try_once(Script("release"), "", C, lease.token)
        assert runner.try_once(*renewal)[0] == b"lost"
    await servers[1].locks.acquire("", C)
    for server in servers:
        server.locks.close()
        server.store.close()


async def test_a_lease_that_ran_out_while_its_server_slept_is_taken_again(log_redis: RedisServer) -> None:
    server = open_shared_storage(log_redis.url)
    server.store.create(conversation(C))
    lease = await server.locks.acquire("", C)
    with log_redis.client() as client:
        for key in client.keys("*lease*"):
            client.delete(key)
        assert ScriptRunner(client).try_once(Script("renew"), "", C, lease.token, lease.fence, 5000)[0] == b"held"
    server.locks.close()
    server.store.close()
