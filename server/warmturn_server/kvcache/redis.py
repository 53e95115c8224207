"""The tier that several servers share: one Redis string a block, signed, with a time to live."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
)

from ..errors import StartRefused
from ..redis_link import RedisClient
from .codec import CorruptBlock
from .keys import BlockKey
from .packing import Packing, Plain
from .seal import OVERHEAD_BYTES, Seal
from .tier import Block, Medium, TierFull, TierUnavailable

COMMANDS = ("ping", "exists", "expire", "getrange", "set", "unlink")
"""What an ACL user needs; `info` besides, to show the memory limit."""
PIECE_BYTES = 4 * 2**20
_NODES_AT_ONCE = 8
_REMEMBERED = 100_000
_WEIGHT_OF_NEWEST = 0.2

_FAILURES = (redis.RedisError, RedisClusterException, OSError)

_log = logging.getLogger(__name__)


class RedisTier:
    """Blocks as values `warmturn:kv:<model and secret>:<key>`. How many there are is Redis's own business: `maxmemory`
    and its eviction bound them, besides their time to live, which every use renews.

    `connect` is called when a client is first needed; `packings` holds what may be read, the first is what is written.
    """

    name = "redis"
    medium: Medium = "network"

    def __init__(
        self,
        connect: Callable[[], RedisClient],
        seal: Seal,
        packings: Sequence[Packing],
        *,
        ttl_seconds: int,
        max_block_bytes: int,
    ) -> None:
        self._connect = connect
        self._seal = seal
        self._prefix = f"warmturn:kv:{seal.namespace}:"
        self._packing = packings[0]
        self._packings = {packing.code: packing for packing in (*packings, Plain())}
        self._ttl_seconds = ttl_seconds
        self._max_block_bytes = max_block_bytes
        self._client: RedisClient | None = None
        self._lock = threading.Lock()
        self._nodes = ThreadPoolExecutor(_NODES_AT_ONCE, "warmturn-redis-node")
        self._known: OrderedDict[BlockKey, bool] = OrderedDict()
        self._seconds_per_byte: float | None = None
        self._maxmemory: int | None = None

    def contains(self, keys: Sequence[BlockKey]) -> list[bool]:
        replies = self._ask(keys, lambda pipe, key: (pipe.exists(self._name(key)), self._renew(pipe, key)))
        held = [bool(_sound(replies[key][0])) for key in keys]
        self._note(zip(keys, held, strict=True))
        return held

    def get_many(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Block]:
        """A value that is not ours comes as an empty block, which no codec takes for anything."""
        most = self._max_block_bytes + OVERHEAD_BYTES
        began = time.perf_counter()
        replies = self._ask(keys, lambda pipe, key: (pipe.getrange(self._name(key), 0, most), self._renew(pipe, key)))
        values = {key: _value(replies[key][0]) for key in keys}
        self._observe(sum(map(len, values.values())), time.perf_counter() - began)
        self._note((key, bool(value)) for key, value in values.items())
        return {key: self._opened(key, value) for key, value in values.items() if value}

    def put_many(self, blocks: Mapping[BlockKey, Block]) -> None:
        values = {key: self._closed(key, block) for key, block in blocks.items()}
        replies = self._ask(
            list(values), lambda pipe, key: pipe.set(self._name(key), memoryview(values[key]), ex=self._ttl_seconds)
        )
        for key in values:
            _written(replies[key][0])
        self._note((key, True) for key in values)

    def remove_many(self, keys: Collection[BlockKey]) -> None:
        replies = self._ask(list(keys), lambda pipe, key: pipe.unlink(self._name(key)))
        with self._lock:
            for key in keys:
                self._known.pop(key, None)
        for key in keys:
            _sound(replies[key][0])

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
        return {"authenticated": self._seal.authenticated, "codec": self._packing.name}

    def ping(self, within_seconds: float) -> None:
        """Raises `TierUnavailable` unless there is an answer, in time once the connection stands."""
        with _translated():
            try:
                _ping(self._connected())
                began = time.perf_counter()
                _ping(self._connected())
            except _FAILURES:
                self._disconnect()  # a cluster that lost a node may look otherwise by now
                raise
        if (seconds := time.perf_counter() - began) > within_seconds:
            raise TierUnavailable(f"it took {1000 * seconds:.0f} ms to answer")

    def check(self) -> None:
        """Once at start: raises `StartRefused` where only the operator can help, `TierUnavailable` where time may."""
        try:
            self._try_everything()
            self._read_limit()
        except (AuthenticationError, NoPermissionError) as error:
            needed = " ".join(f"+{command}" for command in COMMANDS)
            raise StartRefused(
                f"Redis does not let this server in: {error}; check user and password in the URL, and give the user "
                f"{needed} on the keys ~warmturn:*"
            ) from error
        except MovedError as error:
            raise StartRefused("this Redis is part of a cluster; write redis+cluster:// in the URL") from error
        except _FAILURES as error:
            if "luster mode is not enabled" in str(error):
                raise StartRefused("this Redis is no cluster; write redis:// in the URL") from error
            raise TierUnavailable(str(error) or type(error).__name__) from error

    def close(self) -> None:
        self._nodes.shutdown(wait=False, cancel_futures=True)
        self._disconnect()

    def _try_everything(self) -> None:
        client, name = self._connected(), f"{self._prefix}check"
        client.ping()
        with contextlib.suppress(OutOfMemoryError):
            client.set(name, b"ok", ex=self._ttl_seconds)
        client.exists(name)
        client.getrange(name, 0, 1)
        client.expire(name, self._ttl_seconds)
        client.unlink(name)

    def _read_limit(self) -> None:
        client = self._connected()
        if isinstance(client, redis.RedisCluster):
            return
        with contextlib.suppress(ResponseError):
            memory: Mapping[str, Any] = client.info("memory")
            self._maxmemory = int(memory["maxmemory"]) or None

    def _connected(self) -> RedisClient:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _disconnect(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _name(self, key: BlockKey) -> str:
        return self._prefix + key.hex()

    def _renew(self, pipe: Any, key: BlockKey) -> object:
        return pipe.expire(self._name(key), self._ttl_seconds)

    def _ask(self, keys: Sequence[BlockKey], command: Callable[[Any, BlockKey], object]) -> dict[BlockKey, list[Any]]:
        """Each key's replies, errors among them; from all nodes of a cluster side by side."""
        if not keys:
            return {}
        with _translated():
            client = self._connected()
            replies = self._ask_nodes(client, keys, command)
            if isinstance(client, redis.RedisCluster) and any(_moved(reply) for reply in replies.values()):
                client.nodes_manager.initialize()
                replies = self._ask_nodes(client, keys, command)
            return replies

    def _ask_nodes(
        self, client: RedisClient, keys: Sequence[BlockKey], command: Callable[[Any, BlockKey], object]
    ) -> dict[BlockKey, list[Any]]:
        groups = list(_by_node(client, keys, self._name))
        if len(groups) == 1:
            return _pipelined(groups[0][0], groups[0][1], command)
        replies: dict[BlockKey, list[Any]] = {}
        for some in self._nodes.map(lambda group: _pipelined(group[0], group[1], command), groups):
            replies |= some
        return replies

    def _closed(self, key: BlockKey, block: Block) -> bytearray:
        speed = 1 / self._seconds_per_byte if self._seconds_per_byte else None
        packing = self._packing if self._packing.worthwhile(speed) else self._packings[Plain.code]
        return self._seal.close(key, packing.code, len(block), packing.pack(block))

    def _opened(self, key: BlockKey, value: bytes) -> Block:
        try:
            opened = self._seal.open(key, value)
            if opened.raw_bytes > self._max_block_bytes or opened.packing not in self._packings:
                raise CorruptBlock("a size or packing that nobody here writes")
            return self._packings[opened.packing].unpack(opened.body, opened.raw_bytes)
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

    def _observe(self, num_bytes: int, seconds: float) -> None:
        if num_bytes:
            newest, before = seconds / num_bytes, self._seconds_per_byte
            self._seconds_per_byte = newest if before is None else before + _WEIGHT_OF_NEWEST * (newest - before)


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


def _pipelined(
    client: redis.Redis, keys: Sequence[BlockKey], command: Callable[[Any, BlockKey], object]
) -> dict[BlockKey, list[Any]]:
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


def _moved(replies: list[Any]) -> bool:
    return any(isinstance(reply, AskError) for reply in replies)


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


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        raise TierUnavailable(str(error) or type(error).__name__) from error
