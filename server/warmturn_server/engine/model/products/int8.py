"""Weights in eight bits, one scale for each output: half the memory of bfloat16."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from .packed import CompiledProduct
from .packed_bits import packed_int8
from .product import Product, bytes_of, joined

IN_MULTIPLE = 16
"""torch's kernel multiplies whole vectors of so many; a rest it reads wrongly in bfloat16, without a word."""
_FEW_ROWS = 8
"""Up to here torch's kernel, which takes as long again for every row, is faster than to widen the codes first."""
_SLICE = 4096
"""Outputs whose codes are widened at once: what takes no memory from the system stays in the cache."""
_HIGHEST = 127


@dataclass(frozen=True, slots=True)
class Int8Codes:
    """weight = codes x scales.

    codes int8 `[out_features, in_features]`, scales `[out_features]` in the model's dtype.
    """

    codes: torch.Tensor
    scales: torch.Tensor

    @classmethod
    def of(cls, weight: torch.Tensor) -> Int8Codes:
        """The nearest to weight `[out_features, in_features]`."""
        scales = (weight.abs().amax(1).float() / _HIGHEST).to(weight.dtype)
        scales = scales.masked_fill(scales == 0, 1.0)
        codes = (weight.float() / scales.float()[:, None]).round_().clamp_(-_HIGHEST, _HIGHEST)
        return cls(codes.to(torch.int8), scales)

    @classmethod
    def stacked(cls, parts: Sequence[Int8Codes]) -> Int8Codes:
        return cls(joined([part.codes for part in parts]), joined([part.scales for part in parts]))

    def dequantised(self) -> torch.Tensor:
        """`[out_features, in_features]` in float32."""
        return self.codes.float().mul_(self.scales.float()[:, None])


def compiled_int8(codes: Int8Codes, bias: torch.Tensor | None, dtype: torch.dtype) -> CompiledProduct:
    """By the compiled kernels: of any number of rows, in `dtype`."""
    return packed_int8(codes.codes, codes.scales, bias, dtype)


def int8_by_torch(codes: Int8Codes, bias: torch.Tensor | None, _: torch.dtype) -> Product:
    return Int8Product(codes, bias)


class Int8Product:
    """By torch's kernel for few rows, by widened codes and the fastest product there is for many."""

    kind = "int8"

    def __init__(self, codes: Int8Codes, bias: torch.Tensor | None) -> None:
        self._codes, self._scales, self._bias = codes.codes, codes.scales, bias
        self.num_bytes = bytes_of(self._codes, self._scales, bias)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        out = self._few(rows) if len(rows) <= _FEW_ROWS else self._many(rows)
        if self._bias is not None:
            out += self._bias
        return out.view(*x.shape[:-1], out.shape[1])

    def _few(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.ops.aten._weight_int8pack_mm(rows, self._codes, self._scales)  # type: ignore[no-any-return]

    def _many(self, rows: torch.Tensor) -> torch.Tensor:
        """A code has fewer bits than bfloat16 has: widened, it is the same number."""
        parts = [functional.linear(rows, codes.to(rows.dtype)) for codes in torch.split(self._codes, _SLICE)]
        return torch.cat(parts, dim=1).mul_(self._scales)
