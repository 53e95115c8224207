"""Blocks of a GGUF file's tensors as codes: those kinds whose groups of 32 inputs have one scale each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch

from .int4 import Int4Codes
from .int8_in_groups import Int8GroupCodes

FOUR_BITS: Final = ("Q4_0", "Q4_1", "Q4_K")
EIGHT_BITS: Final = ("Q8_0",)
_Blocks = torch.Tensor
"""uint8 `[rows, blocks, bytes]`."""
_NO_CODE: Final = -128
"""Which a sign and seven bits have no room for; llama.cpp writes none."""


def codes_of(kind: str, rows: np.ndarray) -> Int4Codes | Int8GroupCodes | None:
    """Of rows as the file has them, uint8 `[rows, bytes]`, of one of the kinds above.

    The same numbers as llama.cpp's; of `Q4_K` but for the last bit of float32 where its sums are rounded. None where
    there are codes that no place is kept for.
    """
    read, block_bytes = _READ[kind]
    return read(torch.from_numpy(rows).view(len(rows), -1, block_bytes))


def _q8_0(blocks: _Blocks) -> Int8GroupCodes | None:
    codes = blocks[..., 2:].flatten(1).view(torch.int8)
    return None if (codes == _NO_CODE).any() else Int8GroupCodes(codes, _halves(blocks, 0).float())


def _q4_0(blocks: _Blocks) -> Int4Codes:
    scales = _halves(blocks, 0).float()
    return Int4Codes(_nibbles(blocks[..., 2:]), scales, torch.zeros_like(scales))


def _q4_1(blocks: _Blocks) -> Int4Codes:
    """Of code 0 the file has the number, not of 8."""
    scales, least = _halves(blocks, 0), _halves(blocks, 2)
    return Int4Codes(_nibbles(blocks[..., 4:]), scales.float(), (8 * scales + least).float())


def _q4_k(blocks: _Blocks) -> Int4Codes:
    """Eight groups share what their scales and least numbers are multiples of."""
    step, least_step = _halves(blocks, 0)[..., None], _halves(blocks, 2)[..., None]
    low, high, both = blocks[..., 4:8], blocks[..., 8:12], blocks[..., 12:16]
    scales = step * torch.cat([low & 0x3F, both & 0x0F | low >> 2 & 0x30], dim=-1)
    least = least_step * torch.cat([high & 0x3F, both >> 4 | high >> 2 & 0x30], dim=-1)
    codes = _nibbles(blocks[..., 16:].reshape(*blocks.shape[:2], 4, 32))
    return Int4Codes(codes, scales.flatten(1).float(), (8 * scales - least).flatten(1).float())


_READ: Final[dict[str, tuple[Callable[[_Blocks], Int4Codes | Int8GroupCodes | None], int]]] = {
    "Q4_0": (_q4_0, 18),
    "Q4_1": (_q4_1, 20),
    "Q4_K": (_q4_k, 144),
    "Q8_0": (_q8_0, 34),
}
"""And how many bytes a block has."""


def _halves(blocks: _Blocks, first: int) -> torch.Tensor:
    """The float16 at that byte of each block, in float64: `[rows, blocks]`."""
    return blocks[..., first : first + 2].contiguous().view(torch.float16)[..., 0].double()


def _nibbles(bytes_: torch.Tensor) -> torch.Tensor:
    """`[rows, ..., n]` -> `[rows, inputs]`: of each n bytes all lower halves, then all upper ones."""
    return torch.cat([bytes_ & 0x0F, bytes_ >> 4], dim=-1).flatten(1)
