"""An executor for models of the Llama family: few operators a layer, and K and V in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional

from ..attention import Chunk, Look, attend, look
from ..batch import Batch
from ..executor import Work
from .description import Attention, Description, Layer, Norm
from .rope import RopeTable


class Prepared(NamedTuple):
    """A step's chunks, and the positions `[tokens]` of their tokens."""

    chunks: Sequence[Chunk]
    positions: torch.Tensor


class LeanExecutor:
    """Takes every step. `context_length`: no sequence is longer. Attention is computed by `using`."""

    kind = "lean"

    def __init__(self, model: Description, context_length: int, using: Look = look) -> None:
        self._model = model
        self._look = using
        self._ropes = [RopeTable(rope, context_length) for rope in model.ropes]

    def takes(self, step: Sequence[Work]) -> bool:  # noqa: ARG002
        return True

    @torch.inference_mode()
    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        """See `Executor`."""
        batch = Batch.of(step)
        x, prepared = self._model.embed(torch.tensor(batch.token_ids)), self.prepared(batch)
        for number in range(len(self._model.layers)):
            x = self.layer(number, x, prepared)
        logits = self.logits(normed(x[torch.tensor(batch.kept, dtype=torch.long)], self._model.head.norm))
        batch.computed()
        return logits

    def prepared(self, batch: Batch) -> Prepared:
        """What depends on the step alone."""
        for number in range(len(self._ropes)):
            self.table(number, max(batch.positions) + 1)
        return Prepared(batch.chunks, torch.tensor(batch.positions))

    def table(self, number: int, stop: int) -> RopeTable:
        """What rope `number` rotates by, for the positions below `stop` at least."""
        self._ropes[number].cover(stop)
        return self._ropes[number]

    def layer(self, number: int, x: torch.Tensor, prepared: Prepared) -> torch.Tensor:
        """What layer `number` makes of its input `[tokens, width]`; appends K and V to the buffers."""
        layer, scale = self._model.layers[number], self._model.residual_scale
        attended = layer.attention.out(self._attended(number, normed(x, layer.norm), prepared))
        x = torch.add(x, _normed(attended, layer.out_norm), alpha=scale)
        return torch.add(x, _normed(self._mlp(layer, normed(x, layer.mlp_norm)), layer.mlp_out_norm), alpha=scale)

    def _attended(self, number: int, x: torch.Tensor, prepared: Prepared) -> torch.Tensor:
        attention = self._model.layers[number].attention
        dim, kv_heads = attention.shape.key_dim, attention.shape.kv_heads
        together = attention.qkv(x).view(len(x), -1, dim)
        query, key = self._turned(attention, together[:, : attention.heads + kv_heads], prepared.positions)
        value = together[:, attention.heads + kv_heads :]
        out = x.new_empty(len(x), attention.heads, dim)
        for chunk in prepared.chunks:
            q, k, v = (part[chunk.rows].transpose(0, 1) for part in (query, key, value))
            out[chunk.rows] = attend(chunk, number, q, k, v, attention.scoring, self._look)
        return out.view(len(x), -1)

    def _turned(
        self, attention: Attention, both: torch.Tensor, positions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries and keys `[tokens, heads, dim]`, normed and rotated."""
        if attention.query_norm is not None or attention.key_norm is not None:
            query, key = both[:, : attention.heads], both[:, attention.heads :]
            both = torch.cat([_normed(query, attention.query_norm), _normed(key, attention.key_norm)], dim=1)
        if attention.rope is not None:
            both = self._ropes[attention.rope].rotate(both, positions)
        return both[:, : attention.heads], both[:, attention.heads :]

    def _mlp(self, layer: Layer, x: torch.Tensor) -> torch.Tensor:
        gate, up = layer.gate_up(x).chunk(2, dim=-1)
        return layer.down(self._model.activation(gate).mul_(up))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """From what the last norm makes of the last layer's output."""
        head = self._model.head
        logits = head.product(x)
        if head.divisor != 1.0:
            logits = logits / head.divisor
        if head.cap is not None:
            logits = torch.tanh(logits / head.cap) * head.cap
        return logits.float()


def normed(x: torch.Tensor, norm: Norm) -> torch.Tensor:
    """Over the last dimension."""
    if norm.rounds_first:
        return functional.rms_norm(x, x.shape[-1:], norm.weight, norm.eps)
    return functional.rms_norm(x.float(), x.shape[-1:], norm.weight, norm.eps).to(x.dtype)


def _normed(x: torch.Tensor, norm: Norm | None) -> torch.Tensor:
    return x if norm is None else normed(x, norm)
