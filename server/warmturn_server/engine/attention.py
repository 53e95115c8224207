"""Attention that reads each sequence's K and V in place; registered with transformers' `AttentionInterface`.

All sequences of a step are flattened into one row of tokens. Projections and MLPs run on the whole row at once; here
the row is taken apart again: each sequence's new K and V go to the end of its buffer, and its queries look at that
buffer only.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional
from transformers import AttentionInterface

from ..kvcache import KVBuffer

_NAMES = (f"warmturn_{number}" for number in itertools.count())

HONOURED = frozenset({"dropout", "scaling", "sliding_window", "softcap", "s_aux", "is_causal"})
"""Keyword arguments of an attention call that change its result and that are implemented here."""
HARMLESS = frozenset({"position_ids", "cache_position", "position_embeddings", "use_cache", "logits_to_keep"})
"""Keyword arguments that do not change what attention computes."""


@dataclass(slots=True)
class Chunk:
    """The tokens `[start, start + num_tokens)` of one sequence, at `row` in the flattened step."""

    buffer: KVBuffer
    row: int
    start: int
    num_tokens: int
    masks: dict[tuple[int | None, torch.dtype], torch.Tensor] = field(default_factory=dict)

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """Additive mask `[num_tokens, keys in view]`, the same for all layers with this window."""
        if (window, dtype) not in self.masks:
            first = first_visible(self.start, window)
            query = torch.arange(self.start, self.start + self.num_tokens, device=self.buffer.device)[:, None]
            key = torch.arange(first, self.start + self.num_tokens, device=self.buffer.device)[None, :]
            hidden = key > query
            if window is not None:
                hidden |= key <= query - window
            mask = torch.zeros(hidden.shape, dtype=dtype, device=self.buffer.device)
            self.masks[window, dtype] = mask.masked_fill_(hidden, float("-inf"))
        return self.masks[window, dtype]


class InPlaceAttention:
    """The attention function of one model; knows the step's chunks while `over(chunks)` is active."""

    def __init__(self) -> None:
        self.name = next(_NAMES)
        self._chunks: Sequence[Chunk] = ()
        AttentionInterface.register(self.name, self)

    @contextlib.contextmanager
    def over(self, chunks: Sequence[Chunk]) -> Iterator[None]:
        """Serve the forward pass inside the `with` block."""
        self._chunks = chunks
        try:
            yield
        finally:
            self._chunks = ()

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        _attention_mask: torch.Tensor | None,
        scaling: float | None = None,
        sliding_window: int | None = None,
        softcap: float | None = None,
        s_aux: torch.Tensor | None = None,
        **_: object,
    ) -> tuple[torch.Tensor, None]:
        """query `[1, heads, row, key_dim]`, key and value `[1, kv_heads, row, dim]` -> `[1, row, heads, value_dim]`."""
        out = query.new_empty(query.shape[2], query.shape[1], value.shape[3])
        scale = query.shape[3] ** -0.5 if scaling is None else scaling
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        for chunk in self._chunks:
            rows = slice(chunk.row, chunk.row + chunk.num_tokens)
            stop = chunk.start + chunk.num_tokens
            keys, values = chunk.buffer.layer(layer)
            keys[:, chunk.start : stop] = key[0, :, rows]
            values[:, chunk.start : stop] = value[0, :, rows]
            first = first_visible(chunk.start, sliding_window)
            keys, values = keys[:, first:stop], values[:, first:stop]
            if softcap is None and s_aux is None:
                attended = _fused(chunk, query[0, :, rows], keys, values, scale, sliding_window)
            else:
                attended = _explicit(chunk, query[0, :, rows], keys, values, scale, sliding_window, softcap, s_aux)
            out[rows] = attended.transpose(0, 1)
        return out[None], None


def first_visible(start: int, window: int | None) -> int:
    """Index of the first key that the query at `start` sees: a window of w tokens includes the query's own."""
    return 0 if window is None else max(0, start + 1 - window)


def _fused(
    chunk: Chunk, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float, window: int | None
) -> torch.Tensor:
    """query `[heads, tokens, dim]`, keys and values `[kv_heads, keys, dim]` -> `[heads, tokens, value_dim]`."""
    heads, num_tokens, dim = query.shape
    kv_heads, num_keys, _ = keys.shape
    if num_tokens == 1:  # a group's heads as queries of one head: reads each key once, six times faster on a CPU
        folded = query.reshape(1, kv_heads, heads // kv_heads, dim)
        attended = functional.scaled_dot_product_attention(folded, keys[None], values[None], scale=scale)
        return attended.reshape(heads, 1, -1)
    whole = num_tokens == num_keys and (window is None or window >= num_keys)
    return functional.scaled_dot_product_attention(
        query[None],
        keys[None],
        values[None],
        attn_mask=None if whole else chunk.mask(window, query.dtype),
        is_causal=whole,
        scale=scale,
        enable_gqa=heads != kv_heads,
    )[0]


def _explicit(
    chunk: Chunk,
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """The same with capped scores (Gemma 2) or a learned score per head that attends to nothing (gpt-oss)."""
    heads, num_tokens, _ = query.shape
    group = heads // keys.shape[0]
    keys, values = keys.repeat_interleave(group, 0), values.repeat_interleave(group, 0)
    scores = (query @ keys.transpose(1, 2)).float() * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores + chunk.mask(window, torch.float32)
    if sinks is not None:
        scores = torch.cat([scores, sinks.float().view(heads, 1, 1).expand(heads, num_tokens, 1)], dim=-1)
    weights = torch.softmax(scores, dim=-1)[..., : keys.shape[1]]
    return weights.to(values.dtype) @ values
