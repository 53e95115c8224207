"""Opens the log in Redis: checks that it is there, that it is ours, and what it promises."""

from __future__ import annotations

import logging
import time
from typing import Final

import redis
from redis.exceptions import BusyLoadingError

from ....errors import StartRefused
from ....redis_link import RedisClient, RedisLink
from ..backend import Storage
from ..store import LogStatus, StoreCorrupt, StoreFailed
from .invalidation import FORMER_STREAM, RedisInvalidations
from .locks import RedisLocks
from .scripts import SOCKET_SECONDS, ScriptRunner
from .store import RedisStore
from .values import FORMAT, Signer

_ABOUT: Final = "warmturn:log:about"
_LOADING_SECONDS: Final = 120.0
_CONNECTIONS: Final = 80
_log = logging.getLogger(__name__)


def open_shared_storage(url: str, secret: bytes = b"") -> Storage:
    """One that several servers share. Raises StartRefused with what to do."""
    link = RedisLink.parse(url)
    signer = Signer(secret)
    try:
        client = link.client(timeout_seconds=SOCKET_SECONDS, max_connections=_CONNECTIONS)
        _await_loaded(client)
        _claim(client, signer)
    except redis.RedisError as error:
        raise StartRefused(
            f"the conversation log in {link} cannot be used: {str(error).rstrip('.')}; start that Redis, or correct "
            "--redis, or keep the log here with --log sqlite"
        ) from error
    scripts = ScriptRunner(client)
    store = RedisStore(scripts, signer)
    _leave_behind_what_was_not_to_be_kept(client, store)
    _warn(store.status(), str(link))
    return Storage(store, RedisLocks(scripts), RedisInvalidations(client, signer))


def _leave_behind_what_was_not_to_be_kept(client: RedisClient, store: RedisStore) -> None:
    """Of version 0.1.0; a Redis that cannot write now is told of by its status."""
    try:
        client.delete(FORMER_STREAM)
        store.purge("")
    except (redis.RedisError, StoreFailed) as error:
        _log.warning("what an earlier version kept in Redis of deleted turns is there still: %s", error)


def _await_loaded(client: RedisClient) -> None:
    """A Redis that has just been started reads its files first, and says so."""
    deadline = time.monotonic() + _LOADING_SECONDS
    while True:
        try:
            client.ping()
            return
        except BusyLoadingError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _claim(client: RedisClient, signer: Signer) -> None:
    """The first server says in which format the log is, and under which secret; the others must agree."""
    client.set(_ABOUT, signer.sign("about", "", "", {"format": FORMAT}), nx=True)
    found = client.get(_ABOUT)
    try:
        about = signer.read("about", "", "", found if isinstance(found, bytes) else None)
    except StoreCorrupt:
        raise StartRefused(
            "the conversation log in this Redis is signed with another secret; give all servers the same "
            "WARMTURN_REDIS_SECRET, or name another database with --redis"
        ) from None
    if about.get("format") != FORMAT:
        raise StartRefused(
            "the conversation log in this Redis was written by another version of Warmturn "
            f"(format {about.get('format')}, this one knows {FORMAT})"
        )


def _warn(status: LogStatus, where: str) -> None:
    if status.durable is not True:
        _log.warning("the log in %s may lose acknowledged turns: %s", where, status.why)
