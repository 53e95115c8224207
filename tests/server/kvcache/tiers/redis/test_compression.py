"""Smaller blocks that come back bit for bit, or are refused before anything is allocated for them."""

import random
import tracemalloc

import pytest
import torch
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from warmturn_server.kvcache import Compression, CorruptBlock, Plain, Zstd

COMPRESSIONS = [Plain(), Zstd(2), Zstd(4)]


def unpacked(compression: Compression, body: bytes, raw_bytes: int) -> bytes:
    return bytes(compression.unpack(memoryview(body), raw_bytes))


@pytest.mark.parametrize("compression", COMPRESSIONS)
@given(block=st.binary(max_size=300))
def test_every_bit_comes_back(compression: Compression, block: bytes) -> None:
    assert unpacked(compression, bytes(compression.pack(block)), len(block)) == block


@pytest.mark.parametrize(("compression", "dtype"), [(Zstd(2), torch.bfloat16), (Zstd(4), torch.float32)])
def test_keys_and_values_become_smaller(compression: Compression, dtype: torch.dtype) -> None:
    numbers = torch.randn(20_000, generator=torch.Generator().manual_seed(0)).to(dtype)
    block = numbers.view(torch.uint8).numpy().tobytes()
    packed = bytes(compression.pack(block))
    assert len(packed) < 0.9 * len(block)
    assert unpacked(compression, packed, len(block)) == block


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_another_length_than_announced_is_refused(compression: Compression) -> None:
    packed = bytes(compression.pack(bytes(1000)))
    for raw_bytes in (0, 1, 500, 996, 1001, 1004, 10**6):
        with pytest.raises(CorruptBlock):
            compression.unpack(memoryview(packed), raw_bytes)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_noise_is_refused_or_gives_what_was_announced(compression: Compression) -> None:
    chance = random.Random(1)
    for _ in range(2000):
        raw_bytes = chance.randrange(300)
        try:
            assert len(compression.unpack(memoryview(chance.randbytes(chance.randrange(400))), raw_bytes)) == raw_bytes
        except CorruptBlock:
            continue


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    """A frame of a few kilobytes that says, and holds, a hundred megabytes; with a size in its header and without."""
    for sized in (True, False):
        bomb = zstandard.ZstdCompressor(write_content_size=sized).compress(bytes(100 * 2**20))
        assert len(bomb) < 20_000
        tracemalloc.start()
        with pytest.raises(CorruptBlock):
            Zstd(2).unpack(memoryview(bytes(500) + bomb), 1000)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_compressing_pays_only_where_the_wire_is_slower_than_unpacking() -> None:
    zstd = Zstd(2)
    assert zstd.worthwhile(None), "what is unknown is tried"
    block = torch.randn(100_000).to(torch.bfloat16).view(torch.uint8).numpy().tobytes()
    for _ in range(60):
        zstd.unpack(memoryview(bytes(zstd.pack(block))), len(block))
    assert zstd.worthwhile(1e6)
    assert not zstd.worthwhile(1e12)


def test_to_ask_whether_it_pays_changes_nothing() -> None:
    zstd = Zstd(2)
    zstd.unpack(memoryview(bytes(zstd.pack(bytes(1000)))), 1000)
    assert [zstd.worthwhile(1e15) for _ in range(200)] == [False] * 200
