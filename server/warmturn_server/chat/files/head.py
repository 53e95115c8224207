"""What a file begins with: what it is, who signed it, and a digest of each part behind it.

    magic              8 bytes   b"WARMTURN"
    version            2 bytes   1; all numbers big-endian
    lengths            10 bytes  header (32 bits), index (32 bits), signature (16 bits)
    header             JSON, UTF-8
    index              45 bytes a part: kind (8 bits), tokens (32 bits), bytes (64 bits), SHA-256
    checksum           32 bytes  SHA-256 of everything before it
    signature          over everything before the checksum; empty where nobody signed
    parts              one after the other, to the end of the file

Nothing that a length says is believed before it is compared with a bound and with what is there.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Final, Self

from .refusal import FileRefused

MAX_HEADER_BYTES: Final = 2**16
MAX_PARTS: Final = 100_000
MAX_SIGNATURE_BYTES: Final = 2**10
MAX_PART_BYTES: Final = 16 * 2**20
MAX_WORDS_BYTES: Final = 32 * 2**20
"""Of all parts but the state's: a server holds them in memory until the last one is there."""
_MAGIC: Final = b"WARMTURN"
_VERSION: Final = 1
_START: Final = struct.Struct(">8sHIIH")
_ENTRY: Final = struct.Struct(">BIQ32s")
_CHECKSUM_BYTES: Final = 32


class PartKind(IntEnum):
    CONVERSATION = 1
    TURN = 2
    BLOCK = 3


@dataclass(frozen=True, slots=True)
class Part:
    """`tokens`: of a block."""

    kind: PartKind
    tokens: int
    num_bytes: int
    digest: bytes

    @classmethod
    def of(cls, kind: PartKind, content: bytes, tokens: int = 0) -> Self:
        return cls(kind, tokens, len(content), hashlib.sha256(content).digest())

    def is_of(self, content: bytes) -> bool:
        return len(content) == self.num_bytes and hashlib.sha256(content).digest() == self.digest


@dataclass(frozen=True, slots=True)
class Header:
    """`scheme`, `signer`: how it is signed, and by which key. `fingerprint`: of the model whose state it has; hex."""

    conversation: str
    model: str
    fingerprint: str
    scheme: str
    signer: str


@dataclass(frozen=True, slots=True)
class Head:
    """`signed`: the bytes that the signature is over."""

    header: Header
    parts: Sequence[Part]
    signed: bytes
    signature: bytes

    @property
    def num_bytes(self) -> int:
        return len(self.signed) + _CHECKSUM_BYTES + len(self.signature)

    @property
    def total_bytes(self) -> int:
        return self.num_bytes + sum(part.num_bytes for part in self.parts)

    def packed(self) -> bytes:
        return self.signed + hashlib.sha256(self.signed).digest() + self.signature


def to_be_signed(header: Header, parts: Sequence[Part], signature_bytes: int) -> bytes:
    """All that comes before the checksum. Raises `FileRefused` for what nobody could read."""
    described = json.dumps(asdict(header), sort_keys=True).encode()
    _refuse_too_large(parts)
    index = b"".join(_ENTRY.pack(part.kind, part.tokens, part.num_bytes, part.digest) for part in parts)
    start = _START.pack(_MAGIC, _VERSION, len(described), len(index), signature_bytes)
    return start + described + index


def read_head(content: bytes) -> Head:
    """Of exactly these bytes. Raises `FileRefused`; that it is undamaged does not tell whose it is."""
    if len(content) < _START.size or content[: len(_MAGIC)] != _MAGIC:
        raise FileRefused("not_a_conversation_file", "This is no conversation file: it does not begin as one.")
    _, version, header_bytes, index_bytes, signature_bytes = _START.unpack_from(content)
    if version != _VERSION:
        raise FileRefused(
            "file_version_unknown", f"This file is of version {version}; this server reads version {_VERSION}."
        )
    if (
        header_bytes > MAX_HEADER_BYTES
        or index_bytes > MAX_PARTS * _ENTRY.size
        or signature_bytes > MAX_SIGNATURE_BYTES
    ):
        raise FileRefused("file_damaged", "The file's head says that it is larger than any head may be.")
    signed_bytes = _START.size + header_bytes + index_bytes
    if len(content) != signed_bytes + _CHECKSUM_BYTES + signature_bytes:
        raise FileRefused("file_damaged", "The file's head is not as long as it says.")
    signed, signature = content[:signed_bytes], content[signed_bytes + _CHECKSUM_BYTES :]
    if hashlib.sha256(signed).digest() != content[signed_bytes : signed_bytes + _CHECKSUM_BYTES]:
        raise FileRefused("file_damaged", "The file's head is damaged: its checksum does not match.")
    header = _header(signed[_START.size : _START.size + header_bytes])
    return Head(header, _parts(signed[_START.size + header_bytes :]), signed, signature)


def _header(content: bytes) -> Header:
    try:
        given: dict[str, Any] = json.loads(content)
        header = Header(**{name: given[name] for name in Header.__slots__})
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FileRefused("file_damaged", "The file's header does not say what a header says.") from None
    if not all(isinstance(value, str) for value in asdict(header).values()):
        raise FileRefused("file_damaged", "The file's header does not say what a header says.")
    return header


def _parts(index: bytes) -> Sequence[Part]:
    if len(index) % _ENTRY.size:
        raise FileRefused("file_damaged", "The file's index ends in the middle of an entry.")
    try:
        parts = [Part(PartKind(kind), *rest) for kind, *rest in _ENTRY.iter_unpack(index)]
    except ValueError:
        raise FileRefused("file_damaged", "The file has a part of a kind that nobody knows.") from None
    kinds = [part.kind for part in parts]
    if kinds != sorted(kinds) or kinds.count(PartKind.CONVERSATION) != 1:
        raise FileRefused("file_damaged", "The file's parts are not in their order.")
    if any((part.kind is PartKind.BLOCK) != bool(part.tokens) for part in parts):
        raise FileRefused("file_damaged", "The file's index has a block without tokens, or tokens without a block.")
    _refuse_too_large(parts)
    return parts


def _refuse_too_large(parts: Sequence[Part]) -> None:
    if len(parts) > MAX_PARTS:
        raise FileRefused("file_too_large", f"It has {len(parts):,} parts; a file may have {MAX_PARTS:,}.")
    largest = max(part.num_bytes for part in parts)
    if largest > MAX_PART_BYTES:
        raise FileRefused("file_too_large", f"A part of it has {largest:,} bytes; one may have {MAX_PART_BYTES:,}.")
    words = sum(part.num_bytes for part in parts if part.kind is not PartKind.BLOCK)
    if words > MAX_WORDS_BYTES:
        raise FileRefused("file_too_large", f"Its words have {words:,} bytes; they may have {MAX_WORDS_BYTES:,}.")
