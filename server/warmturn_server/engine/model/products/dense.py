"""The model's own weights, in its own dtype."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .plain import PlainProduct
from .prepacked import PrepackedProduct, can_prepack
from .product import Product


def dense(linears: Sequence[nn.Linear]) -> Product:
    """The fastest product that needs nothing but the weights as they are; a `MakeProduct`."""
    if all(can_prepack(linear) for linear in linears):
        return PrepackedProduct(linears)
    return PlainProduct(linears)
