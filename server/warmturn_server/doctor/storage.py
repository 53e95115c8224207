"""Where conversations and state are kept: the data folder, and Redis where there is one."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from ..data_dir import LOG_NAME, is_in_use
from ..errors import StartRefused
from ..redis_link import RedisClient, RedisLink
from ..settings import Settings
from .finding import Finding, in_gib, problem, slow

_TRIALS = 20
_SLOW_COMMIT_SECONDS = 0.05
_SLOW_ANSWER_SECONDS = 0.02
_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


def look_at_data_dir(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    there = _first_that_exists(folder)
    if not os.access(there, os.W_OK):
        yield problem("data folder", f"{folder}: {there} cannot be written", "set --data-dir, or its permissions")
        return
    if not there.is_dir():
        yield problem("data folder", f"{folder}: {there} is no folder", "set --data-dir")
        return
    state = "in use by a server" if is_in_use(folder) else "not in use"
    log = "with conversations" if (folder / LOG_NAME).exists() else "without conversations"
    yield Finding("data folder", f"{folder}, {state}, {log}")
    yield _free(settings, there)
    yield _commits(there)


def _first_that_exists(folder: Path) -> Path:
    return next((parent for parent in (folder, *folder.absolute().parents) if parent.exists()), Path("/"))


def _free(settings: Settings, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    value = f"{in_gib(free)} free; --disk-cache may take {in_gib(settings.disk_cache)}"
    if free < settings.log_reserve:
        return problem("disk", value, "turns are refused when nothing is left for the log: make room")
    if free < settings.disk_cache:
        return slow("disk", value, "state will give way before its budget is used: make room, or lower --disk-cache")
    return Finding("disk", value)


def _commits(folder: Path) -> Finding:
    """What a turn's commit waits for: a small write that is on the disk."""
    try:
        seconds = statistics.median(_synced_writes(folder))
    except OSError as error:
        return problem("commits", f"nothing can be written to {folder}: {error.strerror}", "set --data-dir")
    value = f"a synced write takes {seconds * 1000:.1f} ms (each turn waits for one)"
    if seconds > _SLOW_COMMIT_SECONDS:
        return slow("commits", value, "a slow or a network disk; put --data-dir on a local one")
    return Finding("commits", value)


def _synced_writes(folder: Path) -> Iterator[float]:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(_TRIALS):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            yield time.perf_counter() - began


def look_at_redis(settings: Settings) -> Iterator[Finding]:
    urls = {"redis": settings.redis, "log's redis": settings.log_redis}
    given = {name: url.get_secret_value() for name, url in urls.items() if url is not None}
    if not given:
        yield Finding("redis", "not asked for (--redis)")
    for name, url in given.items():
        try:
            yield _answers(name, RedisLink.parse(url))
        except StartRefused as error:
            yield problem(name, "not a URL of a Redis", str(error))


def _answers(name: str, link: RedisLink) -> Finding:
    try:
        client = link.client(timeout_seconds=2.0)
        with client:
            info = client.info()
            seconds = statistics.median(_pings(client))
    except (redis.RedisError, OSError) as error:
        return problem(name, f"{link}: no answer", f"{error}; start it, or correct the URL")
    value = f"{link}, version {info.get('redis_version', '?')}, answers in {seconds * 1000:.1f} ms"
    if seconds > _SLOW_ANSWER_SECONDS:
        return slow(name, value, "far away: state is taken from there only where that is faster than computing")
    return Finding(name, value)


def _pings(client: RedisClient) -> Iterator[float]:
    for _ in range(_TRIALS):
        began = time.perf_counter()
        client.ping()
        yield time.perf_counter() - began
