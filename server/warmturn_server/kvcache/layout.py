"""Where each layer's K and V lie in a sequence's memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What one attention layer saves for each token: `kv_heads` rows of `key_dim` and of `value_dim` numbers."""

    kv_heads: int
    key_dim: int
    value_dim: int


@dataclass(frozen=True, slots=True)
class Slab:
    """One tensor `[rows, tokens, dim]`; a row is one head's K or V in one layer."""

    rows: int
    dim: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows `[first, first + count)` of slab number `slab`."""

    slab: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class KVLayout:
    """Rows of equal width share a slab, so that a block of an ordinary model is one piece of memory."""

    layers: tuple[LayerShape, ...]
    slabs: tuple[Slab, ...]
    keys: tuple[Rows, ...]
    values: tuple[Rows, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, layers: Sequence[LayerShape], dtype: torch.dtype) -> KVLayout:
        dims = sorted({dim for layer in layers for dim in (layer.key_dim, layer.value_dim)})
        used = dict.fromkeys(dims, 0)

        def take(dim: int, count: int) -> Rows:
            used[dim] += count
            return Rows(dims.index(dim), used[dim] - count, count)

        placed = [(take(layer.key_dim, layer.kv_heads), take(layer.value_dim, layer.kv_heads)) for layer in layers]
        return cls(
            layers=tuple(layers),
            slabs=tuple(Slab(used[dim], dim) for dim in dims),
            keys=tuple(key for key, _ in placed),
            values=tuple(value for _, value in placed),
            dtype=dtype,
        )

    @property
    def bytes_per_token(self) -> int:
        return sum(slab.rows * slab.dim for slab in self.slabs) * self.dtype.itemsize

    def bytes_for(self, num_tokens: int) -> int:
        """Of the K and V of so many tokens."""
        return num_tokens * self.bytes_per_token

    def describe(self) -> str:
        """A text that differs whenever the bytes of a block would mean something else."""
        return f"{self.dtype}:" + ",".join(f"{x.kv_heads}x{x.key_dim}+{x.value_dim}" for x in self.layers)
