"""Weights laid out for the compiled kernels: near memory's speed for few rows, and a row's bits are its own."""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_void_p

import torch
from torch.nn import functional

from ..compiled.compiling import NotCompiled, compiled
from .product import bytes_of

TILE = 32
"""As in `tiles.h`."""


class ProductStruct(ctypes.Structure):
    """As `tiles.h` has it."""

    _fields_ = (
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("inputs", c_int64),
        ("outputs", c_int64),
    )


class PackedProduct:
    """Each output is one sum in the order of the inputs, in float32: the same bits whatever rows are beside it."""

    kind = "packed"

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """weight `[out_features, in_features]`, bias `[out_features]`; see `can_pack`."""
        self._multiply = compiled(weight.dtype).multiply
        self._packed, self._bias = _packed(weight), None if bias is None else bias.float().contiguous()
        self.num_bytes = bytes_of(self._packed, self._bias)
        self.outputs, self.inputs = weight.shape
        at = None if self._bias is None else self._bias.data_ptr()
        self.struct = ProductStruct(self._packed.data_ptr(), at, self.inputs, self.outputs)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        out = x.new_empty(*x.shape[:-1], self.outputs)
        rows = x.numel() // self.inputs
        self._multiply(ctypes.byref(self.struct), c_void_p(x.data_ptr()), c_void_p(out.data_ptr()), c_int64(rows))
        return out

    def rows(self, numbers: torch.Tensor) -> torch.Tensor:
        """Rows of the weight, `[...]` -> `[..., in_features]`."""
        return self._packed[numbers // TILE, :, numbers % TILE].flatten(-2)


def can_pack(weight: torch.Tensor) -> bool:
    """Where the processor has the instructions and no better ones, and whatever compiles the kernels."""
    if weight.device.type != "cpu" or weight.shape[1] % _unit(weight):
        return False
    try:
        return bool(compiled(weight.dtype).packs())
    except NotCompiled:
        return False


def _packed(weight: torch.Tensor) -> torch.Tensor:
    """`[tiles, inputs / unit, TILE, unit]`: neighbours along the sum that fill four bytes lie side by side."""
    outputs, inputs = weight.shape
    padded = functional.pad(weight, (0, 0, 0, -outputs % TILE))
    tiled = padded.view(-1, TILE, inputs // _unit(weight), _unit(weight))
    return tiled.transpose(1, 2).contiguous()


def _unit(weight: torch.Tensor) -> int:
    return 4 // weight.element_size()
