"""The Llama family by compiled kernels: all layers in one call where their weights are packed, else a call a part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional

from ....kvcache import KVLayout
from ..attention import Chunk
from ..batch import Batch
from ..executor import Work
from ..lean.description import Description
from ..lean.executor import LeanExecutor
from ..lean.read import NotTaken
from .kernels import MOST_DIM, MOST_QUERIES, HeadsOf, Kernels, LayersOf, NormOf, StepOf, all_packed


class Prepared(NamedTuple):
    """A step, and its chunks."""

    step: StepOf
    chunks: Sequence[Chunk]


class NativeExecutor:
    """Takes every step. Raises `NotTaken` or `NotCompiled` where it cannot be.

    `lean` computes the same model by torch's operators; what positions rotate by is kept once for both.
    """

    kind = "native"

    def __init__(self, model: Description, lean: LeanExecutor, layout: KVLayout) -> None:
        _refuse_unusual(model)
        self._model, self._lean = model, lean
        self._kernels = Kernels(layout.dtype)
        self._activation = _number_of(model)
        self._heads = [HeadsOf(layer.attention, layout, number) for number, layer in enumerate(model.layers)]
        self._norms = [
            [NormOf(norm) for norm in (layer.norm, layer.out_norm, layer.mlp_norm, layer.mlp_out_norm)]
            for layer in model.layers
        ]
        self._head_norm, self._none = NormOf(model.head.norm), NormOf(None)
        self._whole = (
            LayersOf(model.layers, self._heads, self._norms, self._activation) if all_packed(model.layers) else None
        )
        self._group = max(layer.attention.heads // layer.attention.shape.kv_heads for layer in model.layers)
        self._covered = 0

    def takes(self, step: Sequence[Work]) -> bool:  # noqa: ARG002
        return True

    @torch.inference_mode()
    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        """See `Executor`."""
        batch = Batch.of(step)
        x, prepared = self._model.embed(torch.tensor(batch.token_ids)), self.prepared(batch)
        added = self._through_layers(x.contiguous(), prepared)
        kept = torch.tensor(batch.kept, dtype=torch.long)
        normed = self._sum(x[kept], added[kept], self._norms[-1][3], self._head_norm)
        batch.computed()
        return self._lean.logits(normed)

    def prepared(self, batch: Batch) -> Prepared:
        """What depends on the step alone."""
        self._cover(max(batch.positions) + 1)
        return Prepared(StepOf(batch.chunks, batch.positions, self._group), batch.chunks)

    def layer(self, number: int, x: torch.Tensor, prepared: Prepared) -> torch.Tensor:
        """What layer `number` makes of its input `[tokens, width]`, in its place; appends K and V to the buffers."""
        added = self._layer(number, x, None, prepared)
        self._sum(x, added, self._norms[number][3], self._none)
        return x

    def _through_layers(self, x: torch.Tensor, prepared: Prepared) -> torch.Tensor:
        """x changes in place; returns what the last layer adds to it. Queries are there between two parts only."""
        if self._whole is not None and all(chunk.queries is None for chunk in prepared.chunks):
            return self._kernels.run(self._whole, x, self._model.residual_scale, prepared.step)
        added: torch.Tensor | None = None
        for number in range(len(self._model.layers)):
            added = self._layer(number, x, added, prepared)
        assert added is not None, "a model has layers"
        return added

    def _layer(self, number: int, x: torch.Tensor, added: torch.Tensor | None, prepared: Prepared) -> torch.Tensor:
        """Returns what is to be `added` to x after it; takes what is to be added before."""
        layer, (norm, out_norm, mlp_norm, _) = self._model.layers[number], self._norms[number]
        qkv = layer.attention.qkv(self._sum(x, added, self._norms[number - 1][3], norm)).contiguous()
        out = layer.attention.out(self._attended(number, qkv, prepared))
        gate_up = layer.gate_up(self._sum(x, out, out_norm, mlp_norm))
        activated = gate_up.new_empty(gate_up.shape[0], gate_up.shape[1] // 2)
        self._kernels.activate(gate_up, activated, self._activation)
        return layer.down(activated)

    def _sum(self, x: torch.Tensor, added: torch.Tensor | None, after: NormOf, before: NormOf) -> torch.Tensor:
        normed = torch.empty_like(x)
        self._kernels.add_and_norm(x, added, (after, before), self._model.residual_scale, normed)
        return normed

    def _attended(self, number: int, qkv: torch.Tensor, prepared: Prepared) -> torch.Tensor:
        attention, heads = self._model.layers[number].attention, self._heads[number]
        out = qkv.new_empty(qkv.shape[0], attention.heads, attention.shape.value_dim)
        self._kernels.turn_and_keep(qkv, heads, prepared.step)
        for chunk in prepared.chunks:
            if chunk.queries is not None:
                query = qkv[chunk.rows].view(chunk.num_tokens, -1, attention.shape.key_dim)[:, : attention.heads]
                chunk.queries.take(number, chunk.start, query.transpose(0, 1), attention.scoring)
        self._kernels.look(qkv, out, heads, prepared.step)
        return out.view(qkv.shape[0], -1)

    def _cover(self, stop: int) -> None:
        if stop <= self._covered:
            return
        tables = [self._lean.table(number, stop) for number in range(len(self._model.ropes))]
        for layer, heads in zip(self._model.layers, self._heads, strict=True):
            if layer.attention.rope is not None:
                heads.rotate_by(tables[layer.attention.rope])
        self._covered = min((len(table.cos) for table in tables), default=stop)


def _refuse_unusual(model: Description) -> None:
    for layer in model.layers:
        attention = layer.attention
        group = attention.heads // attention.shape.kv_heads
        if attention.shape.key_dim > MOST_DIM or attention.shape.key_dim % 2 or group > MOST_QUERIES:
            raise NotTaken("its heads, or their groups, are larger than the kernels' memory")


def _number_of(model: Description) -> int:
    """Of the activation, as `kernels.cpp` counts them."""
    x = torch.linspace(-6, 6, 97)
    with torch.inference_mode():
        wanted = model.activation(x)
        for number, known in enumerate((functional.silu(x), functional.gelu(x, approximate="tanh"))):
            if torch.allclose(wanted, known, atol=1e-6):
                return number
    raise NotTaken("its activation is none that the kernels know")
