"""Weights in few bits laid out for the compiled kernels, which make numbers of them as they multiply: `bits.h`."""

from __future__ import annotations

import torch
from torch.nn import functional

from .packed import CompiledProduct, Layout, in_tiles, tiled, unit_of


def packed_int8(codes: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None) -> CompiledProduct:
    """codes int8 `[outputs, inputs]`, scales `[outputs]` in the dtype to compute in."""
    laid = Layout(_signed_bytes(codes, scales.dtype), codes.shape, scales.dtype, 8, tiled(scales).contiguous())
    return CompiledProduct("int8", laid, bias)


def packed_int4(
    codes: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor, bias: torch.Tensor | None
) -> CompiledProduct:
    """codes uint8 `[outputs, inputs]`, scales and zeros `[outputs, groups]` in the dtype to compute in."""
    even = functional.pad(zeros, (0, -zeros.shape[1] % unit_of(zeros.dtype)))
    by_group = tiled(scales).transpose(1, 2).contiguous()
    laid = Layout(_nibbles(codes), codes.shape, scales.dtype, 4, by_group, in_tiles(even))
    return CompiledProduct("int4", laid, bias)


def _nibbles(codes: torch.Tensor) -> torch.Tensor:
    """`[tiles, inputs / 8, 2, 16 outputs, 4 bytes]`: inputs at even places first, and of a byte the lower nibble."""
    lanes = tiled(codes).view(-1, 2, 16, codes.shape[1] // 8, 4, 2).permute(0, 3, 1, 2, 5, 4)
    nibbles = lanes.reshape(*lanes.shape[:4], 4, 2)
    return nibbles[..., 0] | nibbles[..., 1] << 4


def _signed_bytes(codes: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A sign and seven bits, in the order that `EightBits` has for this dtype."""
    tiles = tiled(codes.abs().view(torch.uint8) | (codes < 0).to(torch.uint8) << 7)
    if unit_of(dtype) == 1:
        return tiles.view(-1, 2, 16, codes.shape[1] // 4, 4).permute(0, 3, 1, 2, 4).contiguous()
    return tiles.view(-1, 2, 4, 4, codes.shape[1] // 4, 2, 2).permute(0, 4, 1, 2, 5, 3, 6).contiguous()
