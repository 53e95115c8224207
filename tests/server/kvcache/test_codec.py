"""A block's bytes: they come back exactly, or not at all."""

import struct

import pytest
import torch
import xxhash
from tests.support.device import DEVICE
from tests.support.state import BLOCK_SIZE, DIGEST, LAYOUT, codec_of, contents, filled_buffer, token_ids

from warmturn_server.kvcache import BlockSpan, CorruptBlock, ForeignBlock, KVBuffer, KVLayout, LayerShape
from warmturn_server.kvcache.fingerprint import FORMAT_VERSION
from warmturn_server.kvcache.keys import blocks_of, chain_seed

CODEC = codec_of()
IDS = token_ids(7)
WHOLE, PARTIAL = blocks_of(chain_seed("", DIGEST), IDS, BLOCK_SIZE)


def encoded(span: BlockSpan = WHOLE) -> bytearray:
    return CODEC.encode(span, IDS[span.start : span.stop], filled_buffer(len(IDS)).snapshot())


def decode(block: bytes | bytearray, span: BlockSpan = WHOLE) -> memoryview:
    return CODEC.decode(memoryview(block), span, IDS[span.start : span.stop])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("span", [WHOLE, PARTIAL], ids=["whole", "partial"])
def test_restored_bytes_equal_saved_bytes(span: BlockSpan, dtype: torch.dtype) -> None:
    layout = KVLayout.of([LayerShape(2, 4, 4), LayerShape(1, 6, 2)], dtype)
    codec, source, ids = codec_of(layout=layout), filled_buffer(7, layout), IDS[span.start : span.stop]
    block = codec.encode(span, ids, source.snapshot())
    target = KVBuffer(layout, DEVICE, 7)
    target.write(span.start, span.num_tokens, codec.decode(memoryview(block), span, ids))
    assert contents(target, span.start, span.stop) == contents(source, span.start, span.stop)


def test_values_that_are_not_numbers_come_back_bit_for_bit() -> None:
    source = filled_buffer(4)
    source.layer(0)[0][0, 0] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    target = KVBuffer(LAYOUT, DEVICE, 4)
    target.write(0, 4, decode(CODEC.encode(WHOLE, IDS[:4], source.snapshot())))
    assert contents(target, 0, 4) == contents(source)


@pytest.mark.parametrize("span", [WHOLE, PARTIAL], ids=["whole", "partial"])
def test_every_flipped_byte_is_found(span: BlockSpan) -> None:
    block = encoded(span)
    for position in range(len(block)):
        for flip in (0x01, 0x80, 0xFF):
            block[position] ^= flip
            with pytest.raises(CorruptBlock):
                decode(block, span)
            block[position] ^= flip
    assert decode(block, span)


def test_the_bytes_are_those_that_are_described() -> None:
    """Blocks outlive the code that wrote them: another arrangement needs another version."""
    layout, payload = LAYOUT.describe().encode(), 4 * LAYOUT.bytes_per_token
    head = struct.pack(">6sHIIQ", b"WARMKV", FORMAT_VERSION, len(layout), 4, payload) + WHOLE.key + DIGEST
    head += layout + struct.pack("<4q", *IDS[:4])
    head += bytes(-len(head) % 64)
    block = encoded()
    assert block[: len(head)] == head
    assert decode(block) == block[len(head) : len(head) + payload]
    assert block[len(head) + payload :] == xxhash.xxh3_128_digest(block[: len(head) + payload])


def test_every_truncation_and_any_excess_is_found() -> None:
    block = encoded()
    for size in range(len(block)):
        with pytest.raises(CorruptBlock):
            decode(block[:size])
    with pytest.raises(CorruptBlock):
        decode(block + b"\0")


def test_two_blocks_spliced_are_found() -> None:
    block, other = encoded(), CODEC.encode(WHOLE, IDS[:4], filled_buffer(7, seed=1).snapshot())
    for cut in range(1, len(block)):
        if block[:cut] + other[cut:] not in (block, other):
            with pytest.raises(CorruptBlock):
                decode(block[:cut] + other[cut:])


def resealed(block: bytearray) -> bytearray:
    """With a checksum that agrees: what somebody forges, or software that is wrong writes."""
    block[-16:] = xxhash.xxh3_128_digest(bytes(block[:-16]))
    return block


def test_a_forged_header_is_found_field_by_field() -> None:
    header_bytes = len(encoded()) - 16 - 4 * LAYOUT.bytes_per_token
    padding = [position for position in range(header_bytes) if encoded()[position] == 0]
    for position in range(header_bytes):
        block = encoded()
        block[position] ^= 0x41
        if position >= header_bytes - 64 and position in padding:
            continue
        with pytest.raises(CorruptBlock):
            decode(resealed(block))


@pytest.mark.parametrize("num_tokens", [0, 2**31, 2**32 - 1])
def test_forged_sizes_allocate_nothing(num_tokens: int) -> None:
    block = encoded()
    struct.pack_into(">I", block, 12, num_tokens)
    with pytest.raises(CorruptBlock):
        decode(resealed(block))


def test_a_block_under_another_blocks_name_is_found() -> None:
    with pytest.raises(CorruptBlock, match="another block"):
        decode(encoded(PARTIAL), WHOLE)


def test_colliding_keys_are_told_apart_by_their_token_ids() -> None:
    with pytest.raises(CorruptBlock, match="token ids"):
        CODEC.decode(memoryview(encoded()), WHOLE, (1, 2, 3, 4))


def test_another_models_block_is_foreign() -> None:
    other = codec_of(digest=type(DIGEST)(bytes(32)))
    with pytest.raises(ForeignBlock):
        other.decode(memoryview(encoded()), WHOLE, IDS[:4])


def test_another_layouts_block_is_foreign() -> None:
    """Same number of bytes, other meaning."""
    other = codec_of(layout=KVLayout.of([LayerShape(1, 6, 2), LayerShape(2, 4, 4)], torch.float32))
    with pytest.raises(ForeignBlock):
        other.decode(memoryview(encoded()), WHOLE, IDS[:4])
