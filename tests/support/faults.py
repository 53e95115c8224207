"""Saved state that is wrong and looks right: the header fits, the checksum fits, the numbers do not."""

from collections.abc import Callable
from pathlib import Path

import torch
import xxhash

from warmturn_server.kvcache import KVLayout

_CHECKSUM_BYTES = 16
Change = Callable[[KVLayout, list[torch.Tensor]], None]
"""Alters a block's slabs, `[rows, tokens, dim]` each, in place."""


def tamper(folder: Path, layout: KVLayout, change: Change) -> int:
    """Alter every block file below the folder, below its checksum; returns how many."""
    paths = sorted(folder.rglob("*.kv"))
    for path in paths:
        block = bytearray(path.read_bytes())
        num_tokens = int.from_bytes(block[12:16], "big")
        size = num_tokens * layout.bytes_per_token
        start = len(block) - _CHECKSUM_BYTES - size
        slabs, offset = list[torch.Tensor](), start
        for slab in layout.slabs:
            count = slab.rows * num_tokens * slab.dim
            piece = torch.frombuffer(memoryview(block), dtype=layout.dtype, count=count, offset=offset)
            slabs.append(piece.view(slab.rows, num_tokens, slab.dim))
            offset += count * layout.dtype.itemsize
        change(layout, slabs)
        block[-_CHECKSUM_BYTES:] = xxhash.xxh3_128_digest(bytes(block[:-_CHECKSUM_BYTES]))
        path.write_bytes(block)
    return len(paths)


def swap_layers(layout: KVLayout, slabs: list[torch.Tensor]) -> None:
    """Layer 0's K and V where layer 1's belong, and the other way round."""
    for rows in (layout.keys, layout.values):
        first, second = (slabs[rows[layer].slab][rows[layer].first :][: rows[layer].count] for layer in (0, 1))
        kept = first.clone()
        first.copy_(second)
        second.copy_(kept)


def flip_highest_exponent_bit(layout: KVLayout, slabs: list[torch.Tensor]) -> None:
    """Of one number in V of the last layer."""
    _last_values(layout, slabs)[0, 0] ^= 1 << (30 if layout.dtype == torch.float32 else 14)


def flip_lowest_bits(layout: KVLayout, slabs: list[torch.Tensor]) -> None:
    """Of each number in V of the last layer: less than rounding, as a rule."""
    _last_values(layout, slabs).bitwise_xor_(1)


def _last_values(layout: KVLayout, slabs: list[torch.Tensor]) -> torch.Tensor:
    """`[tokens, dim]`, as whole numbers."""
    rows = layout.values[-1]
    return slabs[rows.slab][rows.first].view(torch.int32 if layout.dtype == torch.float32 else torch.int16)
