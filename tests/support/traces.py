"""Where words and token ids are left in files and in Redis, however they are written."""

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import redis

from warmturn_server.kvcache import Zstd

_KINDS = ("<i8", "<i4", "<i2", ">i8", ">i4")
_ENVELOPE, _TAG_BYTES = struct.Struct(">4sBQ"), 32
_FLOAT32 = Zstd(4)


RUN = 4
"""So many ids together are of this text and no other."""


class Trace:
    """`Trace("some words", their_ids).in_folder(path)` says in which encodings any part of it is in which files."""

    def __init__(self, words: str, token_ids: Sequence[int]) -> None:
        assert len(token_ids) >= RUN
        self._needles = {
            "words": [word.encode() for word in words.split()],
            "words in UTF-16": [word.encode("utf-16-le") for word in words.split()],
            "ids in JSON": [],
            "ids in dense JSON": [],
            **{f"ids as {kind}": [] for kind in _KINDS},
        }
        for start in range(len(token_ids) - RUN + 1):
            run = list(token_ids[start : start + RUN])
            self._needles["ids in JSON"].append(json.dumps(run)[1:-1].encode())
            self._needles["ids in dense JSON"].append(json.dumps(run, separators=(",", ":"))[1:-1].encode())
            for kind in _KINDS:
                self._needles[f"ids as {kind}"].append(np.asarray(run).astype(kind).tobytes())

    def in_bytes(self, content: bytes) -> set[str]:
        return {name for name, needles in self._needles.items() if any(needle in content for needle in needles)}

    def in_folder(self, folder: Path) -> dict[str, set[str]]:
        """By encoding, which files; a file that goes away meanwhile has nothing."""
        found: dict[str, set[str]] = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                for name in self.in_bytes(_content(path)):
                    found.setdefault(name, set()).add(path.name if path.suffix != ".kv" else "a block")
        return found

    def in_redis(self, client: redis.Redis) -> dict[str, set[str]]:
        """By encoding, which kinds of keys. Compressed values are opened."""
        found: dict[str, set[str]] = {}
        for key in client.scan_iter():
            for value in _values(client, key):
                for name in self.in_bytes(key + b" " + value) | self.in_bytes(_opened(value)):
                    found.setdefault(name, set()).add(_kind(key))
        return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _values(client: Any, key: bytes) -> Iterator[bytes]:
    match client.type(key):
        case b"string":
            yield client.get(key) or b""
        case b"hash":
            for field, value in client.hgetall(key).items():
                yield field + b" " + value
        case b"zset":
            yield from client.zrange(key, 0, -1)
        case b"stream":
            for _, fields in client.xrange(key):
                yield b" ".join(fields.values())
        case kind:
            raise AssertionError(f"{key!r} is a {kind!r}, which nobody looks into")


def _opened(value: bytes) -> bytes:
    """A block as it was before `--kv-codec zstd` made it smaller."""
    if value[:4] != b"WKV1":
        return b""
    _, compression, raw_bytes = _ENVELOPE.unpack_from(value)
    body = memoryview(value)[_ENVELOPE.size : -_TAG_BYTES]
    return bytes(_FLOAT32.unpack(body, raw_bytes)) if compression == Zstd.code else bytes(body)


def _kind(key: bytes) -> str:
    """Without ids: `log:record`, `kv`."""
    parts = [part for part in key.decode(errors="replace").split(":") if not part.startswith("{")]
    return ":".join(parts[1:3]) if parts[1] == "log" else parts[1]
