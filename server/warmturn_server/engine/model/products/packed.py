"""Weights laid out for the compiled kernels: near memory's speed for few rows, and a row's bits are its own."""

from __future__ import annotations

import ctypes
from ctypes import c_int32, c_int64, c_void_p
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch.nn import functional

from ..compiled.amx import kernels_multiply
from ..compiled.compiling import compiled
from .product import bytes_of

TILE = 32
"""As in `tiles.h`."""


class ProductStruct(ctypes.Structure):
    """As `products.h` has it."""

    _fields_ = (
        *((name, c_void_p) for name in ("weights", "scales", "zeros", "bias")),
        *((name, c_int64) for name in ("inputs", "outputs")),
        *((name, c_int32) for name in ("bits", "scaled")),
    )


class Scaled(IntEnum):
    """What has a scale, and in what: as `products.h` has it."""

    OUTPUTS, GROUPS, GROUPS_IN_FLOAT = range(3)


@dataclass(frozen=True, slots=True)
class Layout:
    """A weight `[outputs, inputs]` as the kernels go through it; `bits`, as `products.h` counts them, says how.

    `dtype`: what is multiplied with it.
    """

    weights: torch.Tensor
    shape: torch.Size
    dtype: torch.dtype
    bits: int = 0
    scales: torch.Tensor | None = None
    zeros: torch.Tensor | None = None
    scaled: Scaled = Scaled.OUTPUTS


class CompiledProduct:
    """Each output is one sum in a fixed order of the inputs, in float32: the same bits whatever rows are beside it."""

    def __init__(self, kind: str, laid: Layout, bias: torch.Tensor | None) -> None:
        """bias `[outputs]`; see `can_pack`."""
        self.kind = kind
        self.outputs, self.inputs = laid.shape
        self._multiply = compiled(laid.dtype).multiply
        self._held = laid.weights, laid.scales, laid.zeros, None if bias is None else bias.float().contiguous()
        self.num_bytes = bytes_of(*self._held)
        self.struct = ProductStruct(*map(_address, self._held), self.inputs, self.outputs, laid.bits, laid.scaled)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        out = x.new_empty(*x.shape[:-1], self.outputs)
        rows = x.numel() // self.inputs
        self._multiply(ctypes.byref(self.struct), c_void_p(x.data_ptr()), c_void_p(out.data_ptr()), c_int64(rows))
        return out


class PackedProduct(CompiledProduct):
    """Of weights in the model's own dtype."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """weight `[out_features, in_features]`, bias `[out_features]`."""
        self._packed = in_tiles(weight)
        super().__init__("packed", Layout(self._packed, weight.shape, weight.dtype), bias)

    def rows(self, numbers: torch.Tensor) -> torch.Tensor:
        """Rows of the weight, `[...]` -> `[..., in_features]`."""
        return self._packed[numbers // TILE, :, numbers % TILE].flatten(-2)


def can_pack(weight: torch.Tensor) -> bool:
    """Where the processor has the instructions, and there is what compiles the kernels."""
    return (
        weight.device.type == "cpu" and not weight.shape[1] % unit_of(weight.dtype) and kernels_multiply(weight.dtype)
    )


def unit_of(dtype: torch.dtype) -> int:
    """Neighbours along the sum that lie side by side, in four bytes."""
    return 4 // dtype.itemsize


def tiled(weight: torch.Tensor) -> torch.Tensor:
    """`[outputs, ...]` -> `[tiles, TILE, ...]`, zeros behind the last output."""
    padded = functional.pad(weight, (0, 0) * (weight.dim() - 1) + (0, -len(weight) % TILE))
    return padded.view(-1, TILE, *weight.shape[1:])


def in_tiles(weight: torch.Tensor) -> torch.Tensor:
    """`[tiles, inputs / unit, TILE, unit]`."""
    unit = unit_of(weight.dtype)
    return tiled(weight).view(-1, TILE, weight.shape[1] // unit, unit).transpose(1, 2).contiguous()


def _address(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
