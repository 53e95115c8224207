"""Weights in four bits, a scale and a zero for each group of 32 inputs: a third of the memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .dense import dense_by_torch_of
from .dequantised import DequantisedProduct
from .packed import CompiledProduct
from .packed_bits import packed_int4
from .product import Product, bytes_of, joined

GROUP = 32
OUT_MULTIPLE = 16
"""torch packs outputs by so many."""
_FEW_ROWS = 8
"""Up to here torch's kernel, which takes as long again for every row, is faster than bfloat16 products."""
_MIDDLE, _HIGHEST = 8, 15


@dataclass(frozen=True, slots=True)
class Int4Codes:
    """weight = (codes - 8) x scale + zero, in groups of 32 inputs.

    codes uint8 `[out_features, in_features]`, scales and zeros `[out_features, groups]` in the model's dtype, or
    both in float32 where that cannot hold them.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor

    @classmethod
    def of(cls, weight: torch.Tensor) -> Int4Codes:
        """From the least to the greatest of each group of weight `[out_features, in_features]`, in even steps."""
        groups = weight.float().view(len(weight), -1, GROUP)
        least, greatest = groups.amin(-1), groups.amax(-1)
        scales = ((greatest - least) / _HIGHEST).to(weight.dtype)
        scales = scales.masked_fill(scales == 0, 1.0)
        zeros = least.addcmul(scales.float(), torch.tensor(float(_MIDDLE))).to(weight.dtype)
        codes = (groups - zeros.float()[..., None]).div_(scales.float()[..., None]).add_(_MIDDLE).round_()
        return cls(codes.clamp_(0, _HIGHEST).to(torch.uint8).view(weight.shape), scales, zeros)

    @classmethod
    def stacked(cls, parts: Sequence[Int4Codes]) -> Int4Codes:
        columns = ([part.codes for part in parts], [part.scales for part in parts], [part.zeros for part in parts])
        return cls(*map(joined, columns))

    def dequantised(self) -> torch.Tensor:
        """`[out_features, in_features]` in float32."""
        groups = self.codes.float().view(*self.scales.shape, GROUP).sub_(_MIDDLE)
        return groups.mul_(self.scales.float()[..., None]).add_(self.zeros.float()[..., None]).view(self.codes.shape)


def compiled_int4(codes: Int4Codes, bias: torch.Tensor | None, dtype: torch.dtype) -> CompiledProduct:
    """By the compiled kernels: of any number of rows, in `dtype`, and nothing beside the codes."""
    return packed_int4(codes.codes, codes.scales, codes.zeros, bias, dtype)


def int4_by_torch(codes: Int4Codes, bias: torch.Tensor | None, dtype: torch.dtype) -> Product:
    """torch's kernel has scales of the dtype that it computes in."""
    if codes.scales.dtype is dtype:
        return Int4Product(codes, bias)
    return DequantisedProduct("int4", codes.dequantised().to(dtype), bias)


class Int4Product:
    """By torch's kernel for few rows; for many by the same weights in the model's dtype, which are kept beside."""

    kind = "int4"

    def __init__(self, codes: Int4Codes, bias: torch.Tensor | None) -> None:
        """Of scales in the model's dtype."""
        self._packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes.codes.int(), 1)
        self._scales_and_zeros = torch.stack([codes.scales, codes.zeros], dim=-1).transpose(0, 1).contiguous()
        self._bias = bias
        self._wide = dense_by_torch_of(codes.dequantised().to(codes.scales.dtype), bias)
        self.num_bytes = bytes_of(self._packed, self._scales_and_zeros, bias) + self._wide.num_bytes

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        if len(rows) > _FEW_ROWS:
            return self._wide(x)
        out = self._few(rows)
        return out.view(*x.shape[:-1], out.shape[1])

    def _few(self, rows: torch.Tensor) -> torch.Tensor:
        packed, told = self._packed, self._scales_and_zeros
        out: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, packed, GROUP, told)
        return out if self._bias is None else out.add_(self._bias)
