"""The model's own weights, in its own dtype."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .packed import PackedProduct, can_pack
from .plain import PlainProduct
from .prepacked import PrepackedProduct, can_prepack
from .product import Product, stacked


def dense(linears: Sequence[nn.Linear]) -> Product:
    """The fastest product that needs nothing but the weights as they are; a `MakeProduct`."""
    weight, bias = stacked(linears)
    return PackedProduct(weight, bias) if can_pack(weight) else dense_by_torch_of(weight, bias)


def dense_by_torch(linears: Sequence[nn.Linear]) -> Product:
    """The fastest of torch's own: nothing of it is compiled here; a `MakeProduct`."""
    return dense_by_torch_of(*stacked(linears))


def dense_by_torch_of(weight: torch.Tensor, bias: torch.Tensor | None) -> Product:
    """weight `[out_features, in_features]`, bias `[out_features]`."""
    return PrepackedProduct(weight, bias) if can_prepack(weight) else PlainProduct(weight, bias)
