"""Attention whose bits do not depend on how a sequence was cut: every call of the kernel has the same inner shapes."""

from __future__ import annotations

import torch
from torch.nn import functional

from ..attention import Chunk
from ..capture import Scoring

_ROWS = 16
"""Queries that the kernel is given at once: a few tokens, each with all heads of its group."""
_KEYS = 512
"""The kernel's own block of keys. Whole blocks only, for a shorter last one is summed in another order."""


def look_exactly(chunk: Chunk, layer: int, query: torch.Tensor, scoring: Scoring) -> torch.Tensor:
    """query `[heads, tokens, dim]` -> `[tokens, heads, value_dim]`; a `Look`.

    Keys that a query does not see add zeros to its sums, which changes no bit.
    """
    heads, num_tokens, dim = query.shape
    keys, values = (_whole_blocks(part[:, : chunk.start + num_tokens]) for part in chunk.buffer.layer(layer))
    kv_heads, group = len(keys), heads // len(keys)
    tile = tokens_of_tile(group)
    tiles = -(-num_tokens // tile)
    padded = functional.pad(query, (0, 0, 0, tiles * tile - num_tokens)).view(kv_heads, group, tiles, tile, dim)
    folded = padded.permute(2, 0, 3, 1, 4).reshape(tiles, kv_heads, tile * group, dim)
    folded = functional.pad(folded, (0, 0, 0, _rows(group) - tile * group))
    attended = functional.scaled_dot_product_attention(
        folded,
        keys.expand(tiles, -1, -1, -1),
        values.expand(tiles, -1, -1, -1),
        attn_mask=_mask(chunk, group, keys.shape[1], scoring.window, query.dtype),
        scale=scoring.scale,
    )[:, :, : tile * group]
    unfolded = attended.reshape(tiles, kv_heads, tile, group, -1).transpose(1, 2)
    return unfolded.reshape(tiles * tile, heads, -1)[:num_tokens]


def tokens_of_tile(group: int) -> int:
    return _rows(group) // group


def _rows(group: int) -> int:
    return -(-group // _ROWS) * _ROWS


def _whole_blocks(part: torch.Tensor) -> torch.Tensor:
    """`[kv_heads, keys, dim]`, zeros behind the last key."""
    return functional.pad(part, (0, 0, 0, -part.shape[1] % _KEYS))


def _mask(chunk: Chunk, group: int, num_keys: int, window: int | None, dtype: torch.dtype) -> torch.Tensor:
    """Additive `[tiles, 1, rows, keys]`, the same for all layers with this window; rows of nobody see what the last
    token sees.
    """
    if (window, dtype) not in chunk.masks:
        tile, last = tokens_of_tile(group), chunk.start + chunk.num_tokens - 1
        tiles = -(-chunk.num_tokens // tile)
        of_tokens = torch.arange(chunk.start, chunk.start + tiles * tile).view(tiles, tile)
        of_rows = functional.pad(of_tokens.repeat_interleave(group, 1), (0, _rows(group) - tile * group), value=last)
        query, key = of_rows.clamp_max(last)[:, None, :, None], torch.arange(num_keys)
        hidden = key > query
        if window is not None:
            hidden |= key <= query - window
        chunk.masks[window, dtype] = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))
    return chunk.masks[window, dtype]
