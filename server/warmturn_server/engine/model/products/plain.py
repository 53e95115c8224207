"""Weights as they were loaded."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .product import bytes_of, stacked


class PlainProduct:
    kind = "plain"

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        self._weight, self._bias = stacked(linears)
        self.num_bytes = bytes_of(self._weight, self._bias)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self._weight, self._bias)
