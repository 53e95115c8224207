"""Deletions emitted to a stream in Redis, which keeps them for an hour for servers that are away."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis

from ....redis_link import RedisClient
from ..invalidation import Forget
from ..store import StoreCorrupt
from .values import Signer

STREAM: Final = "warmturn:log:forgotten:2"
FORMER_STREAM: Final = "warmturn:log:forgotten"
"""Of version 0.1.0, with token ids."""
_MOST_KEYS: Final = 5_000
_KEPT_SECONDS: Final = 3600
_MOST: Final = 10_000
_AT_ONCE: Final = 100
_LISTEN_MS: Final = 500
_TRIES: Final = 3
_REST_SECONDS: Final = 0.5
_log = logging.getLogger(__name__)


class RedisInvalidations:
    """A server that starts reads all that is there: forgetting twice costs nothing but time."""

    def __init__(self, client: RedisClient, signer: Signer) -> None:
        """`client`: whose socket timeout is longer than half a second."""
        self._client = client
        self._signer = signer
        self._me = secrets.token_hex(8).encode()
        self._closing = threading.Event()
        self._follower: threading.Thread | None = None

    def emit(self, tenant: str, keys: Sequence[bytes]) -> None:
        for start in range(0, len(keys), _MOST_KEYS):
            names = [key.hex() for key in keys[start : start + _MOST_KEYS]]
            self._send(self._signer.sign("forgotten", "", "", {"tenant": tenant, "keys": names}))

    def follow(self, forget: Forget) -> None:
        self._follower = threading.Thread(target=self._listen, args=(forget,), name="invalidations", daemon=True)
        self._follower.start()

    def close(self) -> None:
        self._closing.set()
        if self._follower:
            self._follower.join(_LISTEN_MS / 1000)

    def _send(self, value: bytes) -> None:
        for _ in range(_TRIES):
            try:
                self._client.xadd(STREAM, {"by": self._me, "value": value}, maxlen=_MOST, approximate=True)
                self._client.expire(STREAM, _KEPT_SECONDS)
                return
            except redis.RedisError as error:
                failure = error
                self._closing.wait(_REST_SECONDS)
        _log.warning(
            "other servers were not told what was deleted, and keep its state until it is evicted: %s", failure
        )

    def _listen(self, forget: Forget) -> None:
        last: bytes | str = "0"
        while not self._closing.is_set():
            try:
                entries = self._read(last)
            except redis.RedisError:
                self._closing.wait(_REST_SECONDS)
                continue
            for last, fields in entries:  # noqa: B007 - where the next reading begins
                if fields.get(b"by") != self._me:
                    self._do(forget, fields)

    def _read(self, last: bytes | str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """What came after `last`; waits for a moment if there is nothing."""
        found: Any = self._client.xread({STREAM: last}, count=_AT_ONCE, block=_LISTEN_MS)
        return found[0][1] if found else []

    def _do(self, forget: Forget, fields: Mapping[bytes, bytes]) -> None:
        try:
            content = self._signer.read("forgotten", "", "", fields.get(b"value"))
        except StoreCorrupt as error:
            _log.warning("not forgotten: %s", error)
            return
        forget(content["tenant"], [bytes.fromhex(key) for key in content["keys"]])
