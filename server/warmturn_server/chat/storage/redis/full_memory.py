"""What the log does when its Redis has no memory left: saved state that is kept there too gives way."""

from __future__ import annotations

from typing import Final

import redis

from ....redis_link import RedisClient

_STATE: Final = "warmturn:kv:*"
_A_STEP, _STEPS = 1000, 50
_AT_ONCE: Final = 64


def is_full(error: Exception) -> bool:
    """Redis's own word for it, by itself or from within a script."""
    return isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM" in str(error)


class StateInRedis:
    """Values of any server's tier in the Redis of the log. Which of them go costs time only."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._cursors: dict[str, int] = {}

    def give_way(self) -> bool:
        """Remove some; False if none was found. Where it may not be looked for (ACL: scan, unlink) there is none."""
        try:
            return sum(self._remove_some(node) for node in _nodes(self._client)) > 0
        except redis.RedisError:
            return False

    def _remove_some(self, node: redis.Redis) -> bool:
        """Goes on where it was, for there may be many other keys, but no further than is done in a moment."""
        name = str(node.connection_pool.connection_kwargs.get("port"))
        for _ in range(_STEPS):
            cursor, found = node.scan(self._cursors.get(name, 0), match=_STATE, count=_A_STEP)
            if found:
                node.unlink(*found[:_AT_ONCE])
                return True
            self._cursors[name] = int(cursor)
            if not cursor:
                break
        return False


def _nodes(client: RedisClient) -> list[redis.Redis]:
    if not isinstance(client, redis.RedisCluster):
        return [client]
    return [client.get_redis_connection(node) for node in client.get_primaries()]  # type: ignore[no-untyped-call]
