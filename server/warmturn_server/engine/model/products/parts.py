"""One product of several layers that have the same input, handed out layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .product import Product


class Parts:
    """Computes the product when the first of its layers is asked, and again whenever an input is not the one before.

    Told by the tensor's identity, which is held until the last of the layers was asked: so a model that gives them
    different inputs after all is computed right, only slower. Whoever changes an input in place between two of them
    would be wrong; a model is compared with itself at load.
    """

    def __init__(self, product: Product, sizes: Sequence[int]) -> None:
        self._product = product
        self._sizes = list(sizes)
        self._input: torch.Tensor | None = None
        self._left: dict[int, torch.Tensor] = {}

    def take(self, part: int, x: torch.Tensor) -> torch.Tensor:
        """`[..., in_features]` -> `[..., sizes[part]]`, a view."""
        if x is not self._input or part not in self._left:
            self._left = dict(enumerate(torch.split(self._product(x), self._sizes, dim=-1)))
            self._input = x
        out = self._left.pop(part)
        if not self._left:
            self._input = None
        return out
