"""The tier that several servers share: one Redis string a block, signed, with a time to live."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import redis
from redis.exceptions import (
    AuthenticationError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from ....errors import StartRefused
from ....redis_link import RedisClient
from ...bandwidth import Bandwidth
from ...codec import CorruptBlock
from ...keys import BlockKey
from ..tier import Block, Medium, TierFull, TierUnavailable
from .compression import Compression, Plain
from .envelope import OVERHEAD_BYTES, Envelope
from .pipelines import FAILURES, RedisPipelines

COMMANDS = ("ping", "exists", "expire", "getrange", "set", "unlink")
"""What an ACL user needs; `info` besides, to show the memory limit."""
COMMANDS_OF_A_CLUSTER = ("command", "cluster|slots")
_REMEMBERED = 100_000
_TRY_AGAIN_EVERY = 64

_log = logging.getLogger(__name__)


class RedisTier:
    """Blocks as values `warmturn:kv:<model and secret>:<key>`. How many there are is Redis's own business: `maxmemory`
    and its eviction bound them, besides their time to live, which every use renews.

    `connect` is called when a client is first needed; `compressions` are what may be read, the first what is written.
    """

    name = "redis"
    medium: Medium = "network"

    def __init__(
        self,
        connect: Callable[[], RedisClient],
        envelope: Envelope,
        compressions: Sequence[Compression],
        *,
        ttl_seconds: int,
        max_block_bytes: int,
    ) -> None:
        self._envelope = envelope
        self._prefix = f"warmturn:kv:{envelope.namespace}:"
        self._compression = compressions[0]
        self._compressions = {compression.code: compression for compression in (*compressions, Plain())}
        self._ttl_seconds = ttl_seconds
        self._max_block_bytes = max_block_bytes
        self._pipelines = RedisPipelines(connect, self._name)
        self._lock = threading.Lock()
        self._known: OrderedDict[BlockKey, bool] = OrderedDict()
        self._wire = Bandwidth()
        self._num_written = 0
        self._maxmemory: int | None = None

    def contains(self, keys: Sequence[BlockKey]) -> list[bool]:
        replies = self._pipelines.ask(keys, lambda pipe, key: (pipe.exists(self._name(key)), self._renew(pipe, key)))
        held = [bool(_sound(replies[key][0])) for key in keys]
        self._note(zip(keys, held, strict=True))
        return held

    def get_many(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Block]:
        """A value that is not ours comes as an empty block, which no codec takes for anything."""
        most = self._max_block_bytes + OVERHEAD_BYTES
        began = time.perf_counter()
        replies = self._pipelines.ask(
            keys, lambda pipe, key: (pipe.getrange(self._name(key), 0, most), self._renew(pipe, key))
        )
        values = {key: _value(replies[key][0]) for key in keys}
        self._wire.observe(sum(map(len, values.values())), time.perf_counter() - began)
        self._note((key, bool(value)) for key, value in values.items())
        return {key: self._opened(key, value) for key, value in values.items() if value}

    def put_many(self, blocks: Mapping[BlockKey, Block]) -> None:
        values = {key: self._closed(key, block) for key, block in blocks.items()}
        replies = self._pipelines.ask(
            list(values), lambda pipe, key: pipe.set(self._name(key), memoryview(values[key]), ex=self._ttl_seconds)
        )
        for key in values:
            _written(replies[key][0])
        self._note((key, True) for key in values)

    def remove_many(self, keys: Collection[BlockKey]) -> None:
        replies = self._pipelines.ask(list(keys), lambda pipe, key: pipe.unlink(self._name(key)))
        with self._lock:
            for key in keys:
                self._known.pop(key, None)
        for key in keys:
            _sound(replies[key][0])

    def used(self, keys: Sequence[BlockKey]) -> None:
        """Nothing to do: whoever saves asks what is there, and that renews it."""

    def leave_first(self, keys: Sequence[BlockKey]) -> None:
        """Nothing to do: Redis knows one order alone, that of use."""

    def evicted(self, key: BlockKey) -> bool:
        """Whether this server knew the block to be there, and it was gone when last asked for."""
        return self._known.get(key) is False

    @property
    def num_bytes(self) -> None:
        return None

    @property
    def num_blocks(self) -> None:
        return None

    @property
    def budget_bytes(self) -> int | None:
        """Redis's own limit for everything that it holds, where it has one and says so."""
        return self._maxmemory

    @property
    def facts(self) -> Mapping[str, object]:
        return {"authenticated": self._envelope.authenticated, "codec": self._compression.name}

    def ping(self, within_seconds: float) -> None:
        """Raises `TierUnavailable` unless there is an answer, in time once the connection stands."""
        self._pipelines.ping(within_seconds)

    def check(self) -> None:
        """Once at start: raises `StartRefused` where only the operator can help, `TierUnavailable` where time may."""
        try:
            self._try_everything()
            self._read_limit()
        except (AuthenticationError, NoPermissionError) as error:
            needed = " ".join(f"+{command}" for command in COMMANDS)
            raise StartRefused(
                f"Redis does not let this server in: {error}; check user and password in the URL, and give the user "
                f"{needed} on the keys ~warmturn:*, with a cluster also {_of_a_cluster()}"
            ) from error
        except MovedError as error:
            raise StartRefused("this Redis is part of a cluster; write redis+cluster:// in the URL") from error
        except FAILURES as error:
            if "luster mode is not enabled" in str(error):
                raise StartRefused(
                    "this Redis is no cluster: write redis:// in the URL; "
                    f"or it does not let its user ask about the cluster: that takes {_of_a_cluster()}"
                ) from error
            raise TierUnavailable(str(error) or type(error).__name__) from error

    def close(self) -> None:
        self._pipelines.close()

    def _try_everything(self) -> None:
        client, name = self._pipelines.client, f"{self._prefix}check"
        client.ping()
        with contextlib.suppress(OutOfMemoryError):
            client.set(name, b"ok", ex=self._ttl_seconds)
        client.exists(name)
        client.getrange(name, 0, 1)
        client.expire(name, self._ttl_seconds)
        client.unlink(name)

    def _read_limit(self) -> None:
        client = self._pipelines.client
        if isinstance(client, redis.RedisCluster):
            return
        with contextlib.suppress(ResponseError):
            memory: Mapping[str, Any] = client.info("memory")
            self._maxmemory = int(memory["maxmemory"]) or None

    def _name(self, key: BlockKey) -> str:
        return self._prefix + key.hex()

    def _renew(self, pipe: Any, key: BlockKey) -> object:
        return pipe.expire(self._name(key), self._ttl_seconds)

    def _closed(self, key: BlockKey, block: Block) -> bytearray:
        self._num_written += 1
        try_again = self._num_written % _TRY_AGAIN_EVERY == 0  # or what it cost once would decide for good
        worthwhile = try_again or self._compression.worthwhile(self._wire.bytes_per_second)
        compression = self._compression if worthwhile else self._compressions[Plain.code]
        return self._envelope.close(key, compression.code, len(block), compression.pack(block))

    def _opened(self, key: BlockKey, value: bytes) -> Block:
        try:
            opened = self._envelope.open(key, value)
            if opened.raw_bytes > self._max_block_bytes or opened.compression not in self._compressions:
                raise CorruptBlock("a size or compression that nobody here writes")
            return self._compressions[opened.compression].unpack(opened.body, opened.raw_bytes)
        except CorruptBlock as error:
            _log.warning("a value in Redis is not what was stored under its key (%s); it is ignored and removed", error)
            return b""

    def _note(self, found: Iterator[tuple[BlockKey, bool]]) -> None:
        """Remember what was there, so that what is gone can be told from what never was."""
        with self._lock:
            for key, held in found:
                if held or key in self._known:
                    self._known[key] = held
                    self._known.move_to_end(key)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def _of_a_cluster() -> str:
    return " ".join(f"+{command}" for command in COMMANDS_OF_A_CLUSTER)


def _value(reply: Any) -> bytes:
    """Somebody may have put a list where our string was: then it is a value, and no good one."""
    if isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE"):
        return b"?"
    return bytes(_sound(reply))


def _written(reply: Any) -> None:
    if isinstance(reply, OutOfMemoryError | ReadOnlyError) or str(reply).startswith("MISCONF"):
        raise TierFull(str(reply))
    _sound(reply)


def _sound(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise TierUnavailable(str(reply)) from reply
    return reply
