"""Blocks that may only stay for a while: what turns leave behind that are in no log, where they could be deleted."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

from .keys import BlockKey

_ENTRY: Final = struct.Struct(">32sd")
"""A key, and the time until which its block may stay; 0 for one that came to be part of something lasting."""
_LASTING: Final = 0.0
_MOST_STALE: Final = 10_000


class PassingBlocks:
    """Names and times only, in memory and appended to a file: whoever comes after a kill removes them in time.

    The file is not synced: what a power cut takes of it stays until it is evicted, as every block does.
    """

    def __init__(self, ttl_seconds: float, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.ttl_seconds = ttl_seconds
        self._path = path
        self._clock = clock
        self._until: dict[BlockKey, float] = {}
        self._num_written = 0
        self._lock = threading.Lock()
        if path is not None and path.exists():
            self._until = _read(path)
            self._write_anew(path)

    def saved(
        self,
        keys: Collection[BlockKey],
        new: Collection[BlockKey],
        *,
        lasting: bool,
        ttl_seconds: float | None = None,
    ) -> None:
        """A chain was saved, of which these are new. What is part of something lasting never passes.

        `ttl_seconds`: where it is not the usual one. None passes sooner for it.
        """
        with self._lock:
            until = self._clock() + (self.ttl_seconds if ttl_seconds is None else ttl_seconds)
            known = [key for key in keys if key in self._until or (key in new and not lasting)]
            self._note([(key, _LASTING if lasting else max(until, self._until.get(key, until))) for key in known])

    def due(self) -> list[BlockKey]:
        with self._lock:
            now = self._clock()
            return [key for key, until in self._until.items() if until <= now]

    def still_due(self, keys: Iterable[BlockKey]) -> list[BlockKey]:
        """Those that did not become part of something lasting, and were not used again meanwhile."""
        return list(set(keys).intersection(self.due()))

    def of(self, keys: Iterable[BlockKey]) -> list[BlockKey]:
        """Those of the keys that may stay for a while only."""
        with self._lock:
            return [key for key in keys if key in self._until]

    def removed(self, keys: Iterable[BlockKey]) -> None:
        with self._lock:
            self._note([(key, _LASTING) for key in keys if key in self._until])

    def _note(self, entries: Collection[tuple[BlockKey, float]]) -> None:
        for key, until in entries:
            if until == _LASTING:
                self._until.pop(key, None)
            else:
                self._until[key] = until
        if self._path is None or not entries:
            return
        self._num_written += len(entries)
        if self._num_written > _MOST_STALE + 2 * len(self._until):
            self._write_anew(self._path)
        else:
            _append(self._path, entries)

    def _write_anew(self, path: Path) -> None:
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        _append(unfinished, self._until.items())
        unfinished.replace(path)
        self._num_written = len(self._until)


def _append(path: Path, entries: Iterable[tuple[BlockKey, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.write(b"".join(_ENTRY.pack(key, until) for key, until in entries))


def _read(path: Path) -> dict[BlockKey, float]:
    """What a kill cut off at the end is left out."""
    content = path.read_bytes()
    found: dict[BlockKey, float] = {}
    for key, until in _ENTRY.iter_unpack(content[: len(content) - len(content) % _ENTRY.size]):
        found[BlockKey(key)] = until
    return {key: until for key, until in found.items() if until != _LASTING}
