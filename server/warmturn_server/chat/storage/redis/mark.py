"""That a server lives, as Redis sees it: a connection that the system closes when the process ends, however it ends."""

from __future__ import annotations

import logging
import secrets
from typing import Final

import redis
from redis.client import PubSub
from redis.exceptions import NoPermissionError

from ....redis_link import RedisClient

_CHANNEL: Final = "warmturn:alive:"
"""The same stands in `holder.lua`."""
_log = logging.getLogger(__name__)


class Mark:
    """A subscription to a channel of the server's own: others ask Redis whether anybody listens there.

    It tells nothing of a server that sleeps, or whose machine or network is gone: leases run out for those. A cluster
    has none, for there only the node that is subscribed to would know.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = None if isinstance(client, redis.RedisCluster) else client
        self._name = secrets.token_hex(8)
        self._subscription: PubSub | None = None

    def token(self) -> str:
        """Of a lease; it begins with the mark's name where others can see the mark."""
        random = secrets.token_hex(16)
        return f"{self._name}.{random}" if self._subscription else random

    def keep(self) -> None:
        """Subscribe, again if the connection is gone. Always by the same thread; never raises."""
        if self._client is None:
            return
        try:
            if self._subscription is None:
                self._subscribe(self._client)
            else:
                self._look_after(self._subscription)
        except NoPermissionError as error:
            self._client = None
            _log.warning("when this server dies, its conversations are free only after some seconds: %s", error)
        except redis.RedisError:
            self.close()

    def close(self) -> None:
        if self._subscription:
            self._subscription.close()
        self._subscription = None

    def _subscribe(self, client: redis.Redis) -> None:
        subscription = client.pubsub()  # type: ignore[no-untyped-call]
        try:
            subscription.subscribe(_CHANNEL + self._name)
            subscription.get_message(timeout=1.0)
        except BaseException:
            subscription.close()
            raise
        self._subscription = subscription

    def _look_after(self, subscription: PubSub) -> None:
        """A connection that is gone tells so when it is written to, or read from."""
        subscription.ping()
        while subscription.get_message():
            pass
