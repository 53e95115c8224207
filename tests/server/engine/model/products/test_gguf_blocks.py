"""Blocks of a GGUF file become codes that say the very numbers that gguf-py reads in them."""

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from tests.support.gguf_files import quantised

from warmturn_server.engine.model.products.gguf_blocks import EIGHT_BITS, FOUR_BITS, codes_of

SUM_IN_FLOAT = {"Q4_K": 2**-22}
"""Of the greatest number: llama.cpp rounds there as well."""


def numbers(rows: int = 40) -> np.ndarray:
    """Some groups of nothing but zeros, one of a single number, all of other sizes."""
    random = np.random.default_rng(0)
    some = random.standard_normal((rows, 512)) * random.lognormal(-3, 1, (rows, 512 // 32)).repeat(32, 1)
    some[3, 32:64] = some[4] = 0.0
    some[5, :32] = 0.25
    return some.astype(np.float32)


@pytest.mark.parametrize("kind", [*FOUR_BITS, *EIGHT_BITS])
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value)")
def test_codes_say_what_the_file_says(kind: str) -> None:
    rows = quantised(numbers(), GGMLQuantizationType[kind])
    codes = codes_of(kind, rows)
    assert codes is not None
    assert codes.codes.shape == (40, 512)
    assert codes.scales.shape == (40, 16)
    assert codes.scales.dtype is torch.float32
    filed = torch.from_numpy(dequantize(rows, GGMLQuantizationType[kind]))
    assert filed.sub(torch.from_numpy(numbers())).norm() < 0.15 * np.linalg.norm(numbers()), "written wrongly"
    off = codes.dequantised().sub(filed).abs().max() / filed.abs().max()
    assert off <= SUM_IN_FLOAT.get(kind, 0.0)


@pytest.mark.parametrize("kind", FOUR_BITS)
def test_any_bytes_are_read_alike(kind: str) -> None:
    """Every scale, code and least number that a block can hold, but for infinities."""
    random = np.random.default_rng(1)
    size = {"Q4_0": 18, "Q4_1": 20, "Q4_K": 144}[kind]
    blocks = random.integers(0, 256, (64, 4, size), dtype=np.uint8)
    heads = 1 if kind == "Q4_0" else 2
    blocks[..., : 2 * heads] = random.uniform(-1, 1, (64, 4, heads)).astype(np.float16).view(np.uint8)
    rows = blocks.reshape(64, -1)
    codes = codes_of(kind, rows)
    assert codes is not None
    filed = torch.from_numpy(dequantize(rows, GGMLQuantizationType[kind]))
    assert codes.dequantised().sub(filed).abs().max() <= SUM_IN_FLOAT.get(kind, 0.0) * filed.abs().max()


def test_a_code_that_no_place_is_kept_for_is_none() -> None:
    rows = quantised(numbers(), GGMLQuantizationType.Q8_0)
    rows.view(np.int8)[7, 2] = -128
    assert codes_of("Q8_0", rows) is None
