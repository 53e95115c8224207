"""What a model's weights take in memory, as loaded and as they are kept to compute with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from .products.product import Product


@dataclass(slots=True)
class Weights:
    loaded_bytes: int
    resident_bytes: int

    @classmethod
    def of(cls, model: nn.Module) -> Weights:
        """As loaded."""
        return cls(_num_bytes(model), _num_bytes(model))

    def now_in(self, model: nn.Module, products: Mapping[str, Product]) -> None:
        """Some are kept by products now, each named as the first of its layers was; the others by the model."""
        moved = [product for path, product in products.items() if type(model.get_submodule(path)) is not nn.Linear]
        self.resident_bytes = _num_bytes(model) + sum(product.num_bytes for product in moved)

    def __str__(self) -> str:
        share = self.resident_bytes / max(self.loaded_bytes, 1)
        return f"{self.resident_bytes / 2**20:.0f} MiB of weights, {share:.2f} times what was loaded"


def _num_bytes(model: nn.Module) -> int:
    """What layers share counts once."""
    kept = {tensor.data_ptr() or id(tensor): tensor.nbytes for tensor in model.parameters()}
    return sum(kept.values())
