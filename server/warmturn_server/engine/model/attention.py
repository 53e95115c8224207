"""Attention that reads each sequence's K and V in place; registered with transformers' `AttentionInterface`.

All sequences of a step are flattened into one row of tokens. Projections and MLPs run on the whole row at once; here
the row is taken apart again: each sequence's new K and V go to the end of its buffer, and its queries look at that
buffer only.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right
from transformers import AttentionInterface

from ...kvcache import KVBuffer
from .capture import Queries, Scoring

_FOLDED = 8
"""Tokens of a chunk up to which it pays to fold a group's heads into one."""
_HALF = (torch.bfloat16, torch.float16)
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
    queries: Queries | None = None
    """Where to leave queries for whoever looks back later."""
    masks: dict[tuple[int | None, torch.dtype], torch.Tensor] = field(default_factory=dict)

    @property
    def rows(self) -> slice:
        """Where its tokens stand in the flattened step."""
        return slice(self.row, self.row + self.num_tokens)

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """Additive mask `[num_tokens, keys in view]`, the same for all layers with this window."""
        if (window, dtype) not in self.masks:
            first, stop = first_visible(self.start, window), self.start + self.num_tokens
            mask = visibility_mask(self.start, self.num_tokens, first, stop, window, self.buffer.device, dtype)
            self.masks[window, dtype] = mask
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
        attention_mask: torch.Tensor | None,  # noqa: ARG002 - what a chunk sees its buffer tells
        **given: object,
    ) -> tuple[torch.Tensor, None]:
        """query `[1, heads, row, key_dim]`, key and value `[1, kv_heads, row, dim]` -> `[1, row, heads, value_dim]`."""
        out = query.new_empty(query.shape[2], query.shape[1], value.shape[3])
        scoring = Scoring.told(query.shape[3], given)
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        for chunk in self._chunks:
            rows = chunk.rows
            out[rows] = attend(chunk, layer, query[0, :, rows], key[0, :, rows], value[0, :, rows], scoring)
        return out[None], None


def attend(
    chunk: Chunk,
    layer: int,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scoring: Scoring,
    using: Look | None = None,
) -> torch.Tensor:
    """The chunk's own K and V go to the end of its buffer; returns what its queries see, `[tokens, heads, value_dim]`.

    query `[heads, tokens, dim]`, key and value `[kv_heads, tokens, dim]`.
    """
    stop = chunk.start + chunk.num_tokens
    if chunk.queries is not None:
        chunk.queries.take(layer, chunk.start, query, scoring)
    keys, values = chunk.buffer.layer(layer)
    keys[:, chunk.start : stop] = key
    values[:, chunk.start : stop] = value
    return (using or look)(chunk, layer, query, scoring)


Look = Callable[[Chunk, int, torch.Tensor, Scoring], torch.Tensor]
"""What a chunk's queries `[heads, tokens, dim]` of a layer see of its buffer: `[tokens, heads, value_dim]`."""


def look(chunk: Chunk, layer: int, query: torch.Tensor, scoring: Scoring) -> torch.Tensor:
    """The same once the chunk's own K and V are in its buffer."""
    keys, values = chunk.buffer.layer(layer)
    first, stop = first_visible(chunk.start, scoring.window), chunk.start + chunk.num_tokens
    keys, values = keys[:, first:stop], values[:, first:stop]
    if scoring.softcap is None and scoring.sinks is None:
        attended = _fused(chunk, query, keys, values, scoring.scale, scoring.window)
    else:
        attended = _explicit(chunk, query, keys, values, scoring)
    return attended.transpose(0, 1)


def first_visible(start: int, window: int | None) -> int:
    """Index of the first key that the query at `start` sees: a window of w tokens includes the query's own."""
    return 0 if window is None else max(0, start + 1 - window)


def visibility_mask(
    start: int,
    num_tokens: int,
    first: int,
    stop: int,
    window: int | None,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Additive mask `[num_tokens, stop - first]` of the queries from `start` on over the keys `[first, stop)`."""
    query = torch.arange(start, start + num_tokens, device=device)[:, None]
    key = torch.arange(first, stop, device=device)[None, :]
    hidden = key > query
    if window is not None:
        hidden |= key <= query - window
    return torch.zeros(hidden.shape, dtype=dtype, device=device).masked_fill_(hidden, float("-inf"))


def attention_weights(query: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor, scoring: Scoring) -> torch.Tensor:
    """query `[heads, tokens, dim]`, keys `[kv_heads, keys, dim]` -> `[heads, tokens, keys]` in float32, rows sum to 1.

    With sinks, a learned score per head that attends to nothing, one more column holds what they take.
    """
    heads, num_tokens, dim = query.shape
    folded = query.reshape(keys.shape[0], -1, dim)  # a group's heads as queries of one head
    scores = (folded @ keys.transpose(1, 2)).float().view(heads, num_tokens, -1) * scoring.scale
    if scoring.softcap is not None:
        scores = torch.tanh(scores / scoring.softcap) * scoring.softcap
    scores = scores + mask
    if scoring.sinks is not None:
        scores = torch.cat([scores, scoring.sinks.float().view(heads, 1, 1).expand(heads, num_tokens, 1)], dim=-1)
    return torch.softmax(scores, dim=-1)


def _fused(
    chunk: Chunk, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float, window: int | None
) -> torch.Tensor:
    """query `[heads, tokens, dim]`, keys and values `[kv_heads, keys, dim]` -> `[heads, tokens, value_dim]`."""
    heads, num_tokens, dim = query.shape
    kv_heads, num_keys, _ = keys.shape
    unwindowed = window is None or window >= num_keys
    whole = num_tokens == num_keys and unwindowed
    if num_tokens == 1 or (num_tokens <= _FOLDED and not whole and not query.is_cuda):
        # a group's heads as queries of one head: reads each key once, on a CPU six times faster for one token
        mask = None if num_tokens == 1 else chunk.mask(None if unwindowed else window, query.dtype)
        group = heads // kv_heads
        attended = functional.scaled_dot_product_attention(
            query.reshape(1, kv_heads, group * num_tokens, dim),
            keys[None],
            values[None],
            attn_mask=None if mask is None else mask.repeat(group, 1),
            scale=scale,
        )
        return attended.reshape(heads, num_tokens, -1)
    return functional.scaled_dot_product_attention(
        query[None],
        keys[None],
        values[None],
        attn_mask=None if whole else _mask(chunk, query, num_keys, None if unwindowed else window),
        is_causal=whole,
        scale=scale,
        enable_gqa=heads != kv_heads,
    )[0]


def _mask(chunk: Chunk, query: torch.Tensor, num_keys: int, window: int | None) -> torch.Tensor:
    """A GPU's fast kernel takes no mask, but knows how a chunk stands at the end of its keys; it has no float32."""
    if query.is_cuda and query.dtype in _HALF and window is None:
        return causal_lower_right(query.shape[1], num_keys)
    return chunk.mask(window, query.dtype)


def _explicit(
    chunk: Chunk, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scoring: Scoring
) -> torch.Tensor:
    """The same with capped scores (Gemma 2) or a learned score per head that attends to nothing (gpt-oss)."""
    mask = chunk.mask(scoring.window, torch.float32)
    weights = attention_weights(query, keys, mask, scoring)[..., : keys.shape[1]]
    values = values.repeat_interleave(query.shape[0] // keys.shape[0], 0)
    return weights.to(values.dtype) @ values
