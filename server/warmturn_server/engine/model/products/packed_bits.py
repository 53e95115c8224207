"""Weights in few bits laid out for the compiled kernels, which make numbers of them as they multiply: `bits.h`."""

from __future__ import annotations

import torch

from .packed import CompiledProduct, Layout, Scaled, tiled, unit_of


def packed_int8(
    codes: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype
) -> CompiledProduct:
    """codes int8 `[outputs, inputs]`, scales `[outputs]`; dtype is what is computed in."""
    laid = Layout(_signed_bytes(codes, dtype), codes.shape, dtype, 8, tiled(scales.to(dtype)).contiguous())
    return CompiledProduct("int8", laid, bias)


def packed_int8_in_groups(
    codes: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype
) -> CompiledProduct:
    """codes int8 `[outputs, inputs]`, scales float32 `[outputs, groups]`; dtype is what is computed in."""
    packed = _signed_bytes(codes, dtype)
    laid = Layout(packed, codes.shape, dtype, 8, _by_group(scales), scaled=Scaled.GROUPS_IN_FLOAT)
    return CompiledProduct("int8", laid, bias)


def packed_int4(
    codes: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype
) -> CompiledProduct:
    """codes uint8 `[outputs, inputs]`, scales and zeros `[outputs, groups]` in float32 or in the dtype to compute in.

    Zeros that are nothing but 0 are left out, and cost nothing.
    """
    scaled = Scaled.GROUPS if scales.dtype is dtype else Scaled.GROUPS_IN_FLOAT
    there = _by_group(zeros) if zeros.any() else None
    laid = Layout(_nibbles(codes), codes.shape, dtype, 4, _by_group(scales), there, scaled)
    return CompiledProduct("int4", laid, bias)


def _by_group(scales: torch.Tensor) -> torch.Tensor:
    """`[tiles, groups, TILE]`."""
    return tiled(scales).transpose(1, 2).contiguous()


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
