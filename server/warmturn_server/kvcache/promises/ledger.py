"""The promises in a file: a line a promise, the last one of a name counts. A restart goes by it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..keys import BlockKey

LEDGER_NAME = "promises"
_MOST_STALE = 64


@dataclass(slots=True)
class Promise:
    """Until when (seconds since 1970) each block is to stay. It has no block of which the time ran out."""

    name: str
    owner: str
    num_tokens: int
    until: dict[BlockKey, float] = field(default_factory=dict)
    sizes: dict[BlockKey, int] = field(default_factory=dict)
    is_broken: bool = False

    @property
    def ends(self) -> float:
        return max(self.until.values(), default=0.0)

    @property
    def num_bytes(self) -> int:
        return sum(self.sizes[key] for key in self.until)

    def drop(self, keys: Iterable[BlockKey]) -> None:
        for key in keys:
            self.until.pop(key, None)
            self.sizes.pop(key, None)


class Ledger:
    """Appended to, and written anew when most of it is of the past. Not synced, as what it speaks of is not.

    Raises `OSError` where nothing can be written: then nothing is promised.
    """

    def __init__(self, path: Path | None) -> None:
        """Without a path nothing outlasts the process."""
        self._path = path
        self._num_lines = 0
        self._is_torn = False

    def read(self, now: float) -> dict[str, Promise]:
        """Those that still hold. A line that a kill cut off is none."""
        found: dict[str, Promise] = {}
        lines = self._path.read_bytes().splitlines() if self._path and self._path.exists() else []
        for line in lines:
            if (promise := _read(line)) is not None:
                found[promise.name] = promise
        self._num_lines = len(lines)
        for promise in found.values():
            promise.drop([key for key, until in promise.until.items() if until <= now])
        return {name: promise for name, promise in found.items() if promise.until}

    def note(self, changed: Iterable[Promise], all_of_them: Mapping[str, Promise]) -> None:
        """Write down what became of these. One that has no block left is forgotten by a later start."""
        lines = [_line(promise) for promise in changed]
        if self._path is None or not lines:
            return
        if self._is_torn or self._num_lines + len(lines) > _MOST_STALE + 2 * len(all_of_them):
            self.write_anew(all_of_them)
            return
        self._is_torn = True
        _append(self._path, lines)
        self._is_torn = False
        self._num_lines += len(lines)

    def write_anew(self, all_of_them: Mapping[str, Promise]) -> None:
        if self._path is None:
            return
        unfinished = self._path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        _append(unfinished, [_line(promise) for promise in all_of_them.values()])
        unfinished.replace(self._path)
        self._num_lines, self._is_torn = len(all_of_them), False


def promised_keys(path: Path, clock: Callable[[], float] = time.time) -> set[BlockKey]:
    """Of what is promised, before anybody is there who keeps it. Nothing, if the file cannot be read."""
    with contextlib.suppress(OSError):
        return {key for promise in Ledger(path).read(clock()).values() for key in promise.until}
    return set()


def _line(promise: Promise) -> bytes:
    blocks = {key.hex(): [until, promise.sizes[key]] for key, until in promise.until.items()}
    told = {"name": promise.name, "owner": promise.owner, "tokens": promise.num_tokens, "blocks": blocks}
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def _read(line: bytes) -> Promise | None:
    try:
        told: dict[str, Any] = json.loads(line)
        promise = Promise(str(told["name"]), str(told["owner"]), int(told["tokens"]))
        for name, (until, size) in told["blocks"].items():
            key = BlockKey(bytes.fromhex(name))
            promise.until[key], promise.sizes[key] = float(until), int(size)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return promise


def _append(path: Path, lines: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        content = memoryview(b"".join(lines))
        while content:
            content = content[file.write(content) :]
