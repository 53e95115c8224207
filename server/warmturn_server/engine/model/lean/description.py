"""What models of the Llama family are made of, as data: the same fields for all of them, other values in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ....kvcache import LayerShape
from ..capture import Scoring
from ..products.product import Product


@dataclass(frozen=True, slots=True)
class Norm:
    """`x / sqrt(mean(x^2) + eps) * weight`; in float32 until the end, or rounded before the weight."""

    weight: torch.Tensor
    eps: float
    rounds_first: bool


Rope = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Gives cos and sin, each `[positions, rotated_dim]`, of positions `[positions]`."""


@dataclass(frozen=True, slots=True)
class Attention:
    """`qkv` gives the queries of all `heads`, then keys, then values; `rope` is the number of its rope, if any."""

    qkv: Product
    out: Product
    heads: int
    shape: LayerShape
    scoring: Scoring
    rope: int | None
    query_norm: Norm | None
    key_norm: Norm | None


@dataclass(frozen=True, slots=True)
class Layer:
    """`x += out_norm(attention(norm(x))); x += mlp_out_norm(mlp(mlp_norm(x)))`; `gate_up`: gates first."""

    attention: Attention
    gate_up: Product
    down: Product
    norm: Norm
    out_norm: Norm | None
    mlp_norm: Norm
    mlp_out_norm: Norm | None


@dataclass(frozen=True, slots=True)
class Head:
    """From the last layer's output to logits, `cap * tanh(logits / divisor / cap)` where they are capped."""

    norm: Norm
    product: Product
    divisor: float
    cap: float | None


@dataclass(frozen=True, slots=True)
class Description:
    """`embed` gives the first layer's input; what a layer adds is multiplied by `residual_scale`."""

    embed: Callable[[torch.Tensor], torch.Tensor]
    layers: tuple[Layer, ...]
    head: Head
    ropes: tuple[Rope, ...]
    activation: Callable[[torch.Tensor], torch.Tensor]
    residual_scale: float
