"""Several servers that share one Redis as their log."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.redis_server import DURABLE, RedisServer
from tests.support.server import ServerProcess
from tests.support.talk import Said, Talk

SECRET = "a secret of the fleet"
LEASE_SECONDS = 5


class Fleet:
    """`with Fleet(model, folder) as fleet: fleet.servers[1].kill()`. Every server has a data folder of its own."""

    def __init__(
        self,
        model: Path,
        folder: Path,
        *options: str,
        size: int = 2,
        redis_options: Sequence[str] = DURABLE,
        state_in_redis: bool = False,
    ) -> None:
        """`state_in_redis`: the log's Redis is a tier as well."""
        self._url = "--redis" if state_in_redis else "--log-redis"
        self.redis = RedisServer(folder / "redis", *redis_options)
        self._model, self._folder, self._options = model, folder, ("--block-size", "8", *options)
        self.servers = [self.server(f"server-{number}") for number in range(size)]

    def server(self, name: str, redis_url: str | None = None) -> ServerProcess:
        """One more, not started yet."""
        log = ("--log", "redis", self._url, redis_url or self.redis.url)
        environment = {"WARMTURN_REDIS_SECRET": SECRET}
        return ServerProcess(self._model, self._folder / name / "data", *log, *self._options, environment=environment)

    def __enter__(self) -> Self:
        with ExitStack() as started:
            started.enter_context(self.redis)
            for server in self.servers:
                started.enter_context(server)
            self._running = started.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._running.__exit__(kind, error, at)


def say_when_free(talk: Talk, text: str) -> Said:
    """As a client does that is told to come again: the lease of a server that died runs out by itself."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        reply = talk.client.post("/v1/responses", json=talk.body(text))
        if reply.status_code == 200:
            return Said.of(reply.json())
        assert (reply.status_code, reply.json()["error"]["code"]) == (409, "conversation_locked")
        wait = int(reply.headers["retry-after"])
        assert 1 <= wait <= LEASE_SECONDS
        time.sleep(wait)
    raise AssertionError("the conversation never became free")
