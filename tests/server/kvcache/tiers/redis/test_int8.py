"""Eight bits a number: close, the same bytes over any number of cycles, and never out of bounds."""

import random

import pytest
import torch
from tests.support.device import DEVICE
from tests.support.state import BLOCK_SIZE, DIGEST, codec_of, contents, filled_buffer, token_ids

from warmturn_server.kvcache import BlockSpan, CorruptBlock, Int8, KVBuffer, KVLayout, LayerShape
from warmturn_server.kvcache.keys import blocks_of, chain_seed

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
IDS = token_ids(7)
SPANS = blocks_of(chain_seed("", DIGEST), IDS, BLOCK_SIZE)
DIM = 32


def layout_of(dtype: torch.dtype) -> KVLayout:
    return KVLayout.of([LayerShape(2, DIM, DIM), LayerShape(1, 6, 2)], dtype)


def buffer_of(dtype: torch.dtype, scale: float = 1.0) -> KVBuffer:
    buffer = filled_buffer(len(IDS), layout_of(dtype), seed=3)
    for layer in range(2):
        for part in buffer.layer(layer):
            part *= scale
    return buffer


def block_of(buffer: KVBuffer, span: BlockSpan) -> bytearray:
    return codec_of(layout=buffer.layout).encode(span, IDS[span.start : span.stop], buffer.snapshot())


def int8_of(dtype: torch.dtype) -> Int8:
    layout = layout_of(dtype)
    return Int8(codec_of(layout=layout), layout)


def cycle(buffer: KVBuffer) -> tuple[KVBuffer, list[bytes]]:
    """Saved and restored once: what comes back, and what was stored."""
    int8, codec = int8_of(buffer.layout.dtype), codec_of(layout=buffer.layout)
    back, stored = KVBuffer(buffer.layout, DEVICE, len(IDS)), []
    for span in SPANS:
        block = block_of(buffer, span)
        stored.append(bytes(int8.pack(block)))
        unpacked = int8.unpack(memoryview(stored[-1]), len(block))
        back.write(span.start, span.num_tokens, codec.decode(memoryview(unpacked), span, IDS[span.start : span.stop]))
        back.length = span.stop
    return back, stored


@pytest.mark.parametrize("dtype", DTYPES)
def test_quantised_once_the_bytes_stay_the_same_over_a_hundred_cycles(dtype: torch.dtype) -> None:
    buffer, first = cycle(buffer_of(dtype))
    for _ in range(100):
        again, stored = cycle(buffer)
        assert stored == first
        assert contents(again) == contents(buffer)
        buffer = again


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.0, 1e-40, 1e-7, 1e-3, 1.0, 500.0, 1e4, 1e37])
def test_any_magnitude_comes_back_within_half_a_step_and_is_stable(dtype: torch.dtype, scale: float) -> None:
    source = buffer_of(dtype, scale)
    back, first = cycle(source)
    assert cycle(back)[1] == first
    for layer in range(2):
        for before, after in zip(source.layer(layer), back.layer(layer), strict=True):
            before, after = before[:, : len(IDS)].double(), after[:, : len(IDS)].double()
            if before.isfinite().all():
                largest = before.abs().amax(dim=-1, keepdim=True)
                step = torch.maximum(largest / 63.5, torch.tensor(2.0**-24 if dtype == torch.float16 else 2.0**-119))
                assert ((after - before).abs() <= step / 2).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_no_scale_can_express_is_kept_as_it_is(dtype: torch.dtype) -> None:
    for odd in (float("inf"), float("-inf"), float("nan")):
        source = buffer_of(dtype)
        source.layer(0)[0][1, 2, 3] = odd
        back, _ = cycle(source)
        assert contents(back, 0, BLOCK_SIZE) == contents(source, 0, BLOCK_SIZE)


def test_a_bfloat16_block_takes_about_half() -> None:
    block = block_of(buffer_of(torch.bfloat16), SPANS[0])
    head = codec_of(layout=layout_of(torch.bfloat16)).measure(memoryview(block))[1]
    packed = int8_of(torch.bfloat16).pack(block)
    assert len(packed) - head < 0.56 * (len(block) - head)


def test_noise_and_cuts_are_refused_or_fail_later_and_nothing_is_allocated_for_them() -> None:
    int8, chance = int8_of(torch.float32), random.Random(0)
    block = block_of(buffer_of(torch.float32), SPANS[0])
    packed = bytes(int8.pack(block))
    for size in range(len(packed)):
        with pytest.raises(CorruptBlock):
            int8.unpack(memoryview(packed[:size]), len(block))
    for _ in range(500):
        noise = b"\1" + chance.randbytes(chance.randrange(2000))
        with pytest.raises(CorruptBlock):
            int8.unpack(memoryview(noise), chance.randrange(10**12))
