"""A sequence's own K and V: contiguous per head, growing in place, read by attention without a copy."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator

import torch

from .layout import KVLayout
from .populate import populate
from .spare import MUCH_BYTES, SpareMemory

warnings.filterwarnings("ignore", message="The given buffer is not writable")  # it is only read from

GROWTH = 1.5
GRANULE = 64


class KVBuffer:
    """K and V of the first `length` tokens of one sequence, slabs of `[rows, capacity, dim]`.

    Written only by the thread that runs the model. Tokens below `length` never change while the buffer lives, so
    other threads may read a `snapshot()` of them at any time (on a GPU `beside_the_model`).
    """

    def __init__(
        self, layout: KVLayout, device: torch.device, capacity: int = 0, spare: SpareMemory | None = None
    ) -> None:
        """`spare`: where memory for K and V is taken from if it has any."""
        self.layout = layout
        self.device = device
        self._spare = spare
        self._is_new = False
        self.length = 0
        self.capacity = 0
        self._slabs: list[torch.Tensor] = self._allocate(0)
        self.reserve(capacity)

    @property
    def num_bytes(self) -> int:
        return self.layout.bytes_for(self.capacity)

    def reserve(self, num_tokens: int, limit: int | None = None) -> None:
        """Make room for `num_tokens` in all; grows by half again, so that copies stay rare however long it gets.

        Growing ahead stops at `limit`, the most that the sequence can ever need.
        """
        if num_tokens <= self.capacity:
            return
        ahead = math.ceil(self.capacity * GROWTH) if limit is None else min(math.ceil(self.capacity * GROWTH), limit)
        self._move(round_up(max(num_tokens, ahead)))

    @property
    def is_much_new_memory(self) -> bool:
        """Whether writing into it waits for the system, and for long."""
        return self._is_new and self.num_bytes >= MUCH_BYTES

    def populate(self) -> None:
        """See `populate`; from any thread."""
        for slab in self._slabs:
            populate(slab)

    def give_back(self) -> bool:
        """Keep no more room than it needs for what it holds; False if it had no more."""
        needed = round_up(self.length)
        if self.capacity <= needed:
            return False
        self._move(needed)
        return True

    def layer(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """K `[kv_heads, capacity, key_dim]` and V `[kv_heads, capacity, value_dim]` of one layer, in place."""
        key, value = self.layout.keys[index], self.layout.values[index]
        return (
            self._slabs[key.slab][key.first : key.first + key.count],
            self._slabs[value.slab][value.first : value.first + value.count],
        )

    @property
    def addresses(self) -> list[int]:
        """Where each slab begins in memory; until it grows."""
        return [slab.data_ptr() for slab in self._slabs]

    def snapshot(self) -> KVSnapshot:
        return KVSnapshot(self.layout, tuple(self._slabs), self.length)

    def restore_points(self, upto: int) -> int:
        """Any length: each token has its own K and V."""
        return upto

    def clear(self) -> None:
        self.length = 0

    def copy_prefix(self, source: KVBuffer, num_tokens: int) -> None:
        """Become a copy of the first `num_tokens` of `source`, the branch point of a fork."""
        self.reserve(num_tokens)
        for mine, theirs in zip(self._slabs, source._slabs, strict=True):
            mine[:, :num_tokens].copy_(theirs[:, :num_tokens])
        self.length = num_tokens

    def write(self, start: int, num_tokens: int, payload: memoryview) -> None:
        """Put a block's bytes (see `KVSnapshot.read_into`) in place at tokens `[start, start + num_tokens)`."""
        offset = 0
        for slab, tensor in zip(self.layout.slabs, self._slabs, strict=True):
            count = slab.rows * num_tokens * slab.dim
            piece = torch.frombuffer(payload, dtype=self.layout.dtype, count=count, offset=offset)
            tensor[:, start : start + num_tokens].copy_(piece.view(slab.rows, num_tokens, slab.dim))
            offset += count * self.layout.dtype.itemsize

    def _move(self, capacity: int) -> None:
        moved = self._allocate(capacity)
        for old, new in zip(self._slabs, moved, strict=True):
            new[:, : self.length].copy_(old[:, : self.length])
        self._slabs, self.capacity = moved, capacity

    def _allocate(self, capacity: int) -> list[torch.Tensor]:
        spare = self._spare.take(self.layout.bytes_for(capacity)) if self._spare else None
        self._is_new = spare is None
        shapes = [(slab.rows, capacity, slab.dim) for slab in self.layout.slabs]
        if spare is None:
            return [torch.empty(shape, dtype=self.layout.dtype, device=self.device) for shape in shapes]
        pieces = torch.split(spare.view(self.layout.dtype), [math.prod(shape) for shape in shapes])
        return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


class KVSnapshot:
    """The state of a sequence's first `length` tokens, safe to read while the sequence goes on."""

    def __init__(self, layout: KVLayout, slabs: tuple[torch.Tensor, ...], length: int) -> None:
        self.layout = layout
        self.length = length
        self._slabs = slabs

    @property
    def device(self) -> torch.device:
        return self._slabs[0].device

    def keys(self, layer: int) -> torch.Tensor:
        """K of one layer, `[kv_heads, capacity, key_dim]`, in place."""
        key = self.layout.keys[layer]
        return self._slabs[key.slab][key.first : key.first + key.count]

    def read_into(self, start: int, stop: int, payload: memoryview) -> None:
        """Copy tokens `[start, stop)` out, slab after slab, each `[rows, tokens, dim]` in C order."""
        offset, num_tokens = 0, stop - start
        for slab, tensor in zip(self.layout.slabs, self._slabs, strict=True):
            count = slab.rows * num_tokens * slab.dim
            piece = torch.frombuffer(payload, dtype=self.layout.dtype, count=count, offset=offset)
            piece.view(slab.rows, num_tokens, slab.dim).copy_(tensor[:, start:stop])
            offset += count * self.layout.dtype.itemsize


@contextlib.contextmanager
def beside_the_model(device: torch.device) -> Iterator[None]:
    """Reads and writes of the block wait for what a GPU was asked to compute before, and for nothing asked later.

    On the stream that the model runs on, every block would wait for a whole step. They are done when the block ends.
    """
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.default_stream(device))
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        stream.synchronize()


def round_up(num_tokens: int) -> int:
    """The capacity that a buffer for `num_tokens` really has."""
    return math.ceil(num_tokens / GRANULE) * GRANULE
