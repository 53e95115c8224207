"""Weights as they were loaded."""

from __future__ import annotations

import torch
from torch.nn import functional

from .product import bytes_of


class PlainProduct:
    """weight `[out_features, in_features]`, bias `[out_features]`."""

    kind = "plain"

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._weight, self._bias = weight, bias
        self.num_bytes = bytes_of(weight, bias)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self._weight, self._bias)
