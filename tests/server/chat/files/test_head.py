"""What a file begins with: any byte of it that is another one is noticed, and no length is believed."""

import hashlib
import struct

import pytest

from warmturn_server.chat.files.head import MAX_PARTS, MAX_WORDS_BYTES, Head, Part, PartKind, read_head
from warmturn_server.chat.files.refusal import FileRefused
from warmturn_server.chat.files.signing import FileKeys, Trust

PARTS = [
    Part.of(PartKind.CONVERSATION, b"{}"),
    Part.of(PartKind.TURN, b"a turn"),
    Part.of(PartKind.BLOCK, b"K and V", tokens=8),
    Part.of(PartKind.BLOCK, b"more of it", tokens=3),
]
OURS, OLDER, THEIRS = b"our secret", b"our older secret", b"their secret"


def made(*secrets: bytes) -> Head:
    return FileKeys(secrets).sign("conv_1", "model", "ab" * 32, PARTS)


def sealed(signed: bytes, signature: bytes = b"") -> bytes:
    """A head that somebody made who knows how, and has no secret."""
    return signed + hashlib.sha256(signed).digest() + signature


def code(head: bytes) -> str | None:
    with pytest.raises(FileRefused) as refused:
        read_head(head)
    return refused.value.code


def start(header: int, index: int, signature: int = 0, version: int = 1) -> bytes:
    return struct.pack(">8sHIIH", b"WARMTURN", version, header, index, signature)


@pytest.mark.parametrize("secrets", [(), (OURS,), (OURS, OLDER)])
def test_it_is_read_as_it_was_written(secrets: tuple[bytes, ...]) -> None:
    head = made(*secrets)
    again = read_head(head.packed())
    assert (again.header, list(again.parts), again.signature) == (head.header, PARTS, head.signature)
    assert head.num_bytes == len(head.packed())
    assert head.total_bytes == len(head.packed()) + sum(part.num_bytes for part in PARTS)
    assert made(*secrets).packed() == head.packed(), "the same conversation is the same file"


@pytest.mark.parametrize("secrets", [(), (OURS,)])
def test_any_byte_that_is_another_one_is_noticed(secrets: tuple[bytes, ...]) -> None:
    head, keys = made(*secrets).packed(), FileKeys([OURS])
    for at in range(len(head)):
        for change in (0x01, 0x80, 0xFF):
            damaged = bytearray(head)
            damaged[at] ^= change
            with pytest.raises(FileRefused):
                keys.trust(read_head(bytes(damaged)))


@pytest.mark.parametrize("secrets", [(), (OURS,)])
def test_cut_or_lengthened_it_is_refused(secrets: tuple[bytes, ...]) -> None:
    head = made(*secrets).packed()
    for end in range(len(head)):
        with pytest.raises(FileRefused):
            read_head(head[:end])
    assert code(head + b"\0") == "file_damaged"


def test_whom_is_believed() -> None:
    signed = read_head(made(OURS).packed())
    assert FileKeys([OURS]).trust(signed) is Trust.SIGNED
    assert FileKeys([OLDER, OURS]).trust(signed) is Trust.SIGNED
    assert FileKeys([THEIRS]).trust(signed) is Trust.UNKNOWN_SIGNER
    assert FileKeys([]).trust(signed) is Trust.UNKNOWN_SIGNER
    assert FileKeys([OURS]).trust(read_head(made().packed())) is Trust.UNSIGNED


def test_who_says_to_be_somebody_else_is_refused() -> None:
    ours, theirs = made(OURS), FileKeys([THEIRS]).sign("conv_1", "model", "cd" * 32, PARTS)
    forged = theirs.signed.replace(theirs.header.signer.encode(), ours.header.signer.encode())
    with pytest.raises(FileRefused) as refused:
        FileKeys([OURS]).trust(read_head(sealed(forged, theirs.signature)))
    assert refused.value.code == "file_signature_wrong"
    stripped = made().signed
    assert FileKeys([OURS]).trust(read_head(sealed(stripped))) is Trust.UNSIGNED, (
        "then nobody is said to have signed it"
    )


def test_secrets_are_in_no_file() -> None:
    assert OURS not in made(OURS).packed()
    assert made(OURS).header.signer != made(THEIRS).header.signer


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", "not_a_conversation_file"),
        (b"PK\x03\x04" + bytes(100), "not_a_conversation_file"),
        (sealed(start(0, 0, version=2)), "file_version_unknown"),
        (sealed(start(2**32 - 1, 0)), "file_damaged"),
        (sealed(start(0, 2**32 - 1)), "file_damaged"),
        (sealed(start(0, 0, 2**16 - 1)), "file_damaged"),
        (sealed(start(2, 0) + b"{}"), "file_damaged"),
        (sealed(start(4, 0) + b"null"), "file_damaged"),
        (sealed(start(60_000, 0) + b"[" * 60_000), "file_damaged"),
    ],
    ids=["nothing", "another_format", "newer", "header_bomb", "index_bomb", "signature_bomb", "empty", "null", "deep"],
)
def test_what_is_no_head_is_refused(head: bytes, expected: str) -> None:
    assert code(head) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (PARTS[1:], "file_damaged"),
        ([*PARTS[:1], *PARTS], "file_damaged"),
        ([PARTS[0], PARTS[2], PARTS[1]], "file_damaged"),
        ([PARTS[0], Part(PartKind.BLOCK, 0, 4, bytes(32))], "file_damaged"),
        ([PARTS[0], Part(PartKind.TURN, 4, 4, bytes(32))], "file_damaged"),
        ([PARTS[0], Part(PartKind.TURN, 0, 2**63, bytes(32))], "file_too_large"),
        ([PARTS[0], *[Part(PartKind.TURN, 0, 2**22, bytes(32))] * 9], "file_too_large"),
        ([PARTS[0], *[Part(PartKind.TURN, 0, 0, bytes(32))] * MAX_PARTS], "file_damaged"),
    ],
    ids=["no_conversation", "two", "disorder", "empty_block", "long_turn", "huge_part", "many_words", "many_parts"],
)
def test_parts_that_cannot_be_are_refused(parts: list[Part], expected: str) -> None:
    header = made().signed[20:].partition(b"}")[0] + b"}"
    index = b"".join(struct.pack(">BIQ32s", part.kind, part.tokens, part.num_bytes, part.digest) for part in parts)
    assert code(sealed(start(len(header), len(index)) + header + index)) == expected
    assert MAX_WORDS_BYTES < 9 * 2**22


def test_what_would_be_refused_is_not_written() -> None:
    with pytest.raises(FileRefused) as refused:
        FileKeys().sign("conv_1", "model", "", [PARTS[0], Part(PartKind.BLOCK, 1024, 2**30, bytes(32))])
    assert refused.value.code == "file_too_large"
