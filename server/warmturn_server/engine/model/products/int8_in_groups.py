"""Weights in eight bits, a scale for each group of 32 inputs: as files of other programs have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .dequantised import DequantisedProduct
from .packed import CompiledProduct
from .packed_bits import packed_int8_in_groups
from .product import Product, joined


@dataclass(frozen=True, slots=True)
class Int8GroupCodes:
    """weight = codes x scales, in groups of 32 inputs.

    codes int8 `[out_features, in_features]` from -127 on, scales float32 `[out_features, groups]`.
    """

    codes: torch.Tensor
    scales: torch.Tensor

    @classmethod
    def stacked(cls, parts: Sequence[Int8GroupCodes]) -> Int8GroupCodes:
        return cls(joined([part.codes for part in parts]), joined([part.scales for part in parts]))

    def dequantised(self) -> torch.Tensor:
        """`[out_features, in_features]` in float32."""
        groups = self.codes.float().view(*self.scales.shape, -1)
        return groups.mul_(self.scales[..., None]).view(self.codes.shape)


def compiled_int8_in_groups(codes: Int8GroupCodes, bias: torch.Tensor | None, dtype: torch.dtype) -> CompiledProduct:
    """By the compiled kernels: of any number of rows, in `dtype`, and nothing beside the codes."""
    return packed_int8_in_groups(codes.codes, codes.scales, bias, dtype)


def int8_in_groups_by_torch(codes: Int8GroupCodes, bias: torch.Tensor | None, dtype: torch.dtype) -> Product:
    """torch has no kernel for them."""
    return DequantisedProduct("int8", codes.dequantised().to(dtype), bias)
