"""Weights that were codes, where there is no kernel for those."""

from __future__ import annotations

import torch

from .dense import dense_by_torch_of


class DequantisedProduct:
    """Of what the codes say, rounded to the dtype that is computed in."""

    def __init__(self, kind: str, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """weight `[out_features, in_features]`, bias `[out_features]`; `kind` is the codes'."""
        self._product = dense_by_torch_of(weight, bias)
        self.kind, self.num_bytes = kind, self._product.num_bytes

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self._product(x)
