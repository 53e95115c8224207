"""What makes a value in a shared store ours: a header, the body, and a keyed hash over both and the block's key.

    magic       4 bytes   b"WKV1"
    compression 1 byte    how the body became smaller, see `compression.py`
    raw bytes   8 bytes   length of the block that it unpacks to, big-endian
    body
    tag         32 bytes  HMAC-SHA256 over the block's key and everything before

Whoever can write to the store but lacks the secret can delete or replay a value under its own key, and nothing else:
the same key always names the same tokens of the same tenant and model.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass

from ...codec import CorruptBlock
from ...fingerprint import FingerprintDigest
from ...keys import BlockKey
from ..tier import Block

_HEADER = struct.Struct(">4sBQ")
_MAGIC = b"WKV1"
_TAG_BYTES = 32
OVERHEAD_BYTES = _HEADER.size + _TAG_BYTES


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A value that is proved to be ours; `body` is still packed."""

    compression: int
    raw_bytes: int
    body: memoryview


class Envelope:
    """Signs and checks values. Without a secret the key follows from the model alone: that finds accidents only."""

    def __init__(self, fingerprint: FingerprintDigest, secret: bytes = b"") -> None:
        self.authenticated = bool(secret)
        self._key = hmac.digest(secret or b"no secret", b"warmturn seal 1\0" + fingerprint, "sha256")
        self.namespace = f"{fingerprint.hex()[:16]}:{hmac.digest(self._key, b'namespace', 'sha256').hex()[:8]}"
        """Of the model and the secret: servers that could not read each other's values never meet."""

    def close(self, key: BlockKey, compression: int, raw_bytes: int, body: Block) -> bytearray:
        """The value to store under `key`."""
        value = bytearray(OVERHEAD_BYTES + len(body))
        _HEADER.pack_into(value, 0, _MAGIC, compression, raw_bytes)
        value[_HEADER.size : -_TAG_BYTES] = body
        value[-_TAG_BYTES:] = self._tag(key, memoryview(value)[:-_TAG_BYTES])
        return value

    def open(self, key: BlockKey, value: bytes) -> Unsealed:
        """Raises `CorruptBlock` unless exactly this was closed under this key."""
        view = memoryview(value)
        if len(view) < OVERHEAD_BYTES:
            raise CorruptBlock("truncated value")
        if not hmac.compare_digest(self._tag(key, view[:-_TAG_BYTES]), view[-_TAG_BYTES:]):
            raise CorruptBlock("the keyed hash does not match")
        magic, compression, raw_bytes = _HEADER.unpack_from(view)
        if magic != _MAGIC:
            raise CorruptBlock("not a value of this version")
        return Unsealed(compression, raw_bytes, view[_HEADER.size : -_TAG_BYTES])

    def _tag(self, key: BlockKey, signed: memoryview) -> bytes:
        """`key` has a fixed length, so that nothing of it can pass for the header."""
        tag = hmac.new(self._key, key, "sha256")
        tag.update(signed)
        return tag.digest()
