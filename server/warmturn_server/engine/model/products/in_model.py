"""A transformers model's linear layers, replaced by products: layers that share their input by one for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from .parts import Parts
from .plain import PlainProduct
from .product import MakeProduct, Product

_SHARE_AN_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class ProductLinear(nn.Module):
    """Stands where one `nn.Linear` stood."""

    def __init__(self, linear: nn.Linear, parts: Parts, part: int) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._parts, self._part = parts, part

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[..., in_features]` -> `[..., out_features]`."""
        return self._parts.take(self._part, x)


def replace_linears(model: nn.Module, make: MakeProduct) -> dict[str, Product]:
    """By what `make` makes of them; a layer alone that would be a plain product stays as it is.

    Returns the products, named as the first of their layers in the model.
    """
    made = dict[str, Product]()
    for path, module in list(model.named_modules()):
        for names in _groups(module):
            linears = [module.get_submodule(name) for name in names]
            product = make(linears)
            made[f"{path}.{names[0]}".lstrip(".")] = product
            if len(names) > 1 or not isinstance(product, PlainProduct):
                _put(module, names, product)
    return made


def _put(module: nn.Module, names: Sequence[str], product: Product) -> None:
    linears = [module.get_submodule(name) for name in names]
    parts = Parts(product, [linear.out_features for linear in linears])  # type: ignore[misc]
    for part, (name, linear) in enumerate(zip(names, linears, strict=True)):
        setattr(module, name, ProductLinear(linear, parts, part))  # type: ignore[arg-type]


def _groups(module: nn.Module) -> Iterator[tuple[str, ...]]:
    """Names of a module's own linear layers, those together that share their input."""
    left = {name for name, child in module.named_children() if type(child) is nn.Linear}
    for names in _SHARE_AN_INPUT:
        if left.issuperset(names):
            yield names
            left.difference_update(names)
    yield from ((name,) for name in sorted(left))
