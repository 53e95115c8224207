"""Commands to a Redis, many at once: to one server, or to the nodes of a cluster side by side."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from redis.exceptions import AskError, RedisClusterException

from ....redis_link import RedisClient
from ...keys import BlockKey
from ..tier import TierUnavailable

FAILURES = (redis.RedisError, RedisClusterException, OSError)
_NODES_AT_ONCE = 8

Command = Callable[[Any, BlockKey], object]
"""Adds what should be asked about one key to a pipeline."""
Replies = Mapping[BlockKey, Sequence[Any]]


class RedisPipelines:
    """Connects when first asked, and again after `disconnect`. Failures are `TierUnavailable`."""

    def __init__(self, connect: Callable[[], RedisClient], name: Callable[[BlockKey], str]) -> None:
        self._connect = connect
        self._name = name
        self._client: RedisClient | None = None
        self._lock = threading.Lock()
        self._nodes = ThreadPoolExecutor(_NODES_AT_ONCE, "warmturn-redis-node")

    @property
    def client(self) -> RedisClient:
        """For single commands; what it raises is not translated."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def ask(self, keys: Sequence[BlockKey], command: Command) -> Replies:
        """Each key's replies, errors among them."""
        if not keys:
            return {}
        with translated():
            client = self.client
            replies = self._ask_nodes(client, keys, command)
            if isinstance(client, redis.RedisCluster) and any(_moved(reply) for reply in replies.values()):
                client.nodes_manager.initialize()
                replies = self._ask_nodes(client, keys, command)
            return replies

    def ping(self, within_seconds: float) -> None:
        """Raises `TierUnavailable` unless every node answers, in time once the connections stand."""
        with translated():
            try:
                _ping(self.client)
                began = time.perf_counter()
                _ping(self.client)
            except FAILURES:
                self.disconnect()  # a cluster that lost a node may look otherwise by now
                raise
        if (seconds := time.perf_counter() - began) > within_seconds:
            raise TierUnavailable(f"it took {1000 * seconds:.0f} ms to answer")

    def disconnect(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def close(self) -> None:
        self._nodes.shutdown(wait=False, cancel_futures=True)
        self.disconnect()

    def _ask_nodes(self, client: RedisClient, keys: Sequence[BlockKey], command: Command) -> Replies:
        groups = list(_by_node(client, keys, self._name))
        if len(groups) == 1:
            return _pipelined(groups[0][0], groups[0][1], command)
        replies: dict[BlockKey, Sequence[Any]] = {}
        for some in self._nodes.map(lambda group: _pipelined(group[0], group[1], command), groups):
            replies |= some
        return replies


@contextlib.contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise TierUnavailable(str(error) or type(error).__name__) from error


def _by_node(
    client: RedisClient, keys: Sequence[BlockKey], name: Callable[[BlockKey], str]
) -> Iterator[tuple[redis.Redis, list[BlockKey]]]:
    """Each node's own client and keys. Not the cluster's pipeline: when a node is gone, that tries every key again."""
    if isinstance(client, redis.Redis):
        yield client, list(keys)
        return
    groups: dict[str, tuple[redis.Redis, list[BlockKey]]] = {}
    for key in keys:
        node = client.get_node_from_key(name(key))  # type: ignore[no-untyped-call]
        if node is None:
            raise TierUnavailable("no node of the cluster has this part of it")
        groups.setdefault(node.name, (client.get_redis_connection(node), []))[1].append(key)
    yield from groups.values()


def _pipelined(client: redis.Redis, keys: Sequence[BlockKey], command: Command) -> dict[BlockKey, Sequence[Any]]:
    pipe = client.pipeline(transaction=False)
    for key in keys:
        command(pipe, key)
    replies = pipe.execute(raise_on_error=False)
    each = len(replies) // len(keys)
    return {key: replies[index * each : (index + 1) * each] for index, key in enumerate(keys)}


def _ping(client: RedisClient) -> None:
    if isinstance(client, redis.RedisCluster):
        client.ping(target_nodes=redis.RedisCluster.PRIMARIES)
    else:
        client.ping()


def _moved(replies: Sequence[Any]) -> bool:
    return any(isinstance(reply, AskError) for reply in replies)
