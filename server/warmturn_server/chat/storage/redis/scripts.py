"""Scripts on Redis: run once however often they are sent, and never waited for longer than a caller may wait."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import redis
from redis import exceptions

from ....redis_link import RedisClient
from ..store import StoreFailed, StoreFull
from .compose import compose
from .durability import Durability, ask
from .full_memory import StateInRedis, is_full

DEADLINE_SECONDS: Final = 1.5
SOCKET_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.05
_REST_SECONDS: Final = 0.5
_SYNC_MS: Final = 900

# Nothing says that the next try fails too: the connection broke, Redis loads its files, or another one takes over.
_PASSING: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.MovedError,
    exceptions.AskError,
    exceptions.RedisClusterException,
    exceptions.SlotNotCoveredError,
)
Argument = str | bytes | int
Reply = Any


class Script:
    """The command of that name in the folder `lua`, with what it includes. Raises `BadScript`."""

    def __init__(self, command: str) -> None:
        self.source = compose(files(__package__) / "lua", command)
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class NotSynced(Exception):
    """Redis has it in memory, and did not say in time that it is on disk."""


class ScriptRunner:
    """Runs scripts over a client that does not retry by itself.

    After a failure other readers are refused at once for a moment, so that nobody queues for a Redis that is away.
    """

    def __init__(self, client: RedisClient, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        """`client`: with socket timeouts well below the time that a request may take."""
        self.client = client
        self.waits_for_disk = False
        """Whether Redis can tell (WAITAOF, from 7.2 on) when a write is on disk."""
        self.full = False
        """Whether it had no memory left when last written to."""
        self._deadline_seconds = deadline_seconds
        self._clock = _RedisClock()
        self._resting_until = 0.0
        self._lock = threading.Lock()
        self._state = StateInRedis(client)

    def read(self, script: Script, tenant: str, *arguments: Argument) -> Reply:
        """Raises StoreFailed."""
        if time.monotonic() < self._resting_until:
            raise StoreFailed("The conversation log in Redis did not answer a moment ago; try again.")
        return self._persist(lambda _: self._call(self._node(tenant), script, tenant, arguments), "read")

    def write(self, script: Script, tenant: str, *arguments: Argument) -> Reply:
        """The script's first argument is the time after which it refuses to do anything. Raises StoreFailed."""

        def send(give_up: float) -> Reply:
            timed = (self._clock.at(give_up), *arguments)
            reply = self._call(self._node(tenant), script, tenant, timed, sync=self.waits_for_disk)
            if reply[0] == b"late":
                self._clock.set(reply[1])
                raise exceptions.TimeoutError("it came too late to be written")
            return reply

        return self._persist(send, "written")

    def try_once(self, script: Script, tenant: str, *arguments: Argument) -> Reply:
        """Raises `redis.RedisError`."""
        return self._call(self._node(tenant), script, tenant, arguments)

    def durability(self) -> Durability:
        """Asks Redis, and waits for its disk from now on if it can. Raises `redis.RedisError`."""
        durability = ask(self._node(""))
        self.waits_for_disk = durability.waitaof
        self._resting_until = 0.0
        return durability

    def set_clock(self, milliseconds: int) -> None:
        self._clock.set(milliseconds)

    def close(self) -> None:
        self.client.close()

    def _persist(self, send: Callable[[float], Reply], verb: str) -> Reply:
        """The same again until there is an answer: only that tells whether an earlier try was carried out."""
        give_up = time.monotonic() + self._deadline_seconds
        while True:
            try:
                reply = send(give_up)
                self._resting_until = 0.0
                self.full = self.full and verb == "read"
                return reply
            except (*_PASSING, NotSynced) as error:
                if time.monotonic() + _PAUSE_SECONDS >= give_up:
                    time.sleep(max(0.0, give_up - time.monotonic()))
                    self._resting_until = time.monotonic() + _REST_SECONDS
                    raise StoreFailed(f"The conversation log in Redis cannot be {verb}: {_why(error)}.") from error
                self._relocate(error)
                time.sleep(_PAUSE_SECONDS)
            except redis.RedisError as error:
                if not is_full(error):
                    raise StoreFailed(f"The conversation log in Redis cannot be {verb}: {_why(error)}.") from error
                if time.monotonic() >= give_up or not self._state.give_way():
                    self.full = True
                    raise StoreFull(_FULL) from error

    def _relocate(self, error: Exception) -> None:
        if isinstance(self.client, redis.RedisCluster) and isinstance(error, exceptions.RedisError):
            with contextlib.suppress(redis.RedisError):
                self.client.nodes_manager.initialize()

    def _node(self, tenant: str) -> redis.Redis:
        """The connection pool of the server that holds the tenant's log."""
        if not isinstance(self.client, redis.RedisCluster):
            return self.client
        node = self.client.get_node_from_key(prefix(tenant))  # type: ignore[no-untyped-call]
        if node is None:
            raise exceptions.ClusterDownError("nobody holds the slot")
        return self.client.get_redis_connection(node)

    def _call(
        self, node: redis.Redis, script: Script, tenant: str, arguments: Sequence[Argument], *, sync: bool = False
    ) -> Reply:
        reply = self._exchange(node, ["EVALSHA", script.sha, 1, prefix(tenant), *arguments], sync)
        if isinstance(reply, exceptions.NoScriptError):
            reply = self._exchange(node, ["EVAL", script.source, 1, prefix(tenant), *arguments], sync)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _exchange(self, node: redis.Redis, command: list[Argument], sync: bool) -> Reply:
        pipeline = node.pipeline(transaction=False)
        pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        if sync:
            pipeline.execute_command("WAITAOF", 1, 0, _SYNC_MS)  # type: ignore[no-untyped-call]
        reply, *synced = pipeline.execute(raise_on_error=False)
        if synced and not isinstance(reply, Exception):
            if isinstance(synced[0], Exception):
                raise synced[0]
            if synced[0][0] < 1:
                raise NotSynced("it is not on disk yet")
        return reply


@cache
def prefix(tenant: str) -> str:
    """What every key of a tenant begins with; what is in braces decides its slot in a cluster."""
    return f"warmturn:log:{{{hashlib.sha256(tenant.encode()).hexdigest()[:16]}}}:"


_FULL: Final = (
    "The conversation log's Redis has no memory left (maxmemory). Nothing was changed. Raise maxmemory there, or "
    "delete conversations; saved state has given way already."
)


def _why(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


class _RedisClock:
    """Redis's clock, told by this machine's steady one; how far they are apart is learnt from replies."""

    def __init__(self) -> None:
        self._ahead_ms = time.time() * 1000 - time.monotonic() * 1000

    def set(self, milliseconds: int) -> None:
        self._ahead_ms = milliseconds - time.monotonic() * 1000

    def at(self, monotonic_seconds: float) -> int:
        return int(monotonic_seconds * 1000 + self._ahead_ms)
