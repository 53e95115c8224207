"""A transformers model's linear layers, replaced by products: layers that share their input by one for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from .parts import Parts
from .plain import PlainProduct
from .product import MakeProduct, Product

_SHARE_AN_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class ProductLinear(nn.Module):
    """Stands where one `nn.Linear` stood. Of its weights it knows dtype and shape, which some models ask for."""

    def __init__(self, linear: nn.Linear, parts: Parts, part: int) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight = torch.empty_like(linear.weight, device="meta", requires_grad=False)
        self._parts, self._part = parts, part

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[..., in_features]` -> `[..., out_features]`."""
        return self._parts.take(self._part, x)


def replace_linears(model: nn.Module, make: MakeProduct) -> dict[str, Product]:
    """By what `make` makes of them; a layer alone that would be a plain product stays as it is.

    Returns the products, named as the first of their layers in the model.
    """
    made = dict[str, Product]()
    for group in linear_groups(model):
        product = make(group.linears)
        made[group.path] = product
        if len(group.names) > 1 or not isinstance(product, PlainProduct):
            _put(group, product)
    return made


@dataclass(frozen=True, slots=True)
class LinearGroup:
    """Linear layers of one module that share their input; `path` is the first one's in the model."""

    path: str
    module: nn.Module
    names: tuple[str, ...]

    @property
    def linears(self) -> list[nn.Linear]:
        return [cast(nn.Linear, getattr(self.module, name)) for name in self.names]

    @property
    def dtype(self) -> torch.dtype:
        return self.linears[0].weight.dtype


def linear_groups(model: nn.Module) -> list[LinearGroup]:
    """All linear layers, each in the group that is computed as one product."""
    return [
        LinearGroup(f"{path}.{names[0]}".lstrip("."), module, names)
        for path, module in model.named_modules()
        for names in _groups(module)
    ]


def _put(group: LinearGroup, product: Product) -> None:
    parts = Parts(product, [linear.out_features for linear in group.linears])
    for part, (name, linear) in enumerate(zip(group.names, group.linears, strict=True)):
        setattr(group.module, name, ProductLinear(linear, parts, part))


def _groups(module: nn.Module) -> Iterator[tuple[str, ...]]:
    """Names of a module's own linear layers, those together that share their input."""
    left = {name for name, child in module.named_children() if _is_plain(child)}
    for names in _SHARE_AN_INPUT:
        if left.issuperset(names):
            yield names
            left.difference_update(names)
    yield from ((name,) for name in sorted(left))


def _is_plain(module: nn.Module) -> bool:
    """Whether it computes what its weights say. Quantised layers do not: they have a `forward` of their own, hooks, or
    tensors that only look like weights.
    """
    if type(module) is not nn.Linear or "forward" in vars(module):
        return False
    if module._forward_pre_hooks or module._forward_hooks:
        return False
    weight = module._parameters.get("weight")
    return weight is not None and type(weight.data) is torch.Tensor and weight.is_floating_point()
