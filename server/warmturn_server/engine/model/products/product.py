"""One multiplication with weights, whoever computes the step that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import nn


class Product(Protocol):
    """`x @ weight.T + bias`: `[..., in_features]` -> `[..., out_features]`, in the model's dtype."""

    @property
    def kind(self) -> str:
        """How the weights are kept, for people."""
        ...

    @property
    def num_bytes(self) -> int:
        """What the weights take in memory, the bias included."""
        ...

    def __call__(self, x: torch.Tensor, /) -> torch.Tensor: ...


MakeProduct = Callable[[Sequence[nn.Linear]], Product]
"""One product for all of these layers, their outputs one after the other; they have the same input."""


def stacked(linears: Sequence[nn.Linear]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight `[out_features, in_features]` and bias of all layers as one; those of a single layer are not copied."""
    return joined([linear.weight.detach() for linear in linears]), stacked_bias(linears)


def stacked_bias(linears: Sequence[nn.Linear]) -> torch.Tensor | None:
    """`[out_features]`, zeros for layers that have none while others do."""
    if all(linear.bias is None for linear in linears):
        return None
    return joined([_bias(linear) for linear in linears])


def _bias(linear: nn.Linear) -> torch.Tensor:
    return linear.weight.new_zeros(linear.out_features) if linear.bias is None else linear.bias.detach()


def joined(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """By their first dimension; one alone is not copied."""
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))


def bytes_of(*tensors: torch.Tensor | None) -> int:
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)
