"""K and V in a byte a number. Not exact, therefore asked for by name, and such state is never taken for exact state.

Each head's K and V of each token share one scale, a power of two: so what comes back is exact in any float format, and
quantising it again gives the same bytes, however often. The price is half a bit on average.

    how         1 byte    1: as below; 0: the block itself follows (it held what no scale can express)
    head        the block's header, layout and token ids
    for each slab of the layout
      scales    `[rows, tokens]` exponents of two, one signed byte each
      numbers   `[rows, tokens, dim]` signed bytes
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ...codec import BlockCodec, CorruptBlock
from ...layout import KVLayout
from ..tier import Block

_LARGEST = 127
_LOWEST_EXPONENT = {torch.float16: -24}
_PLAIN, _QUANTISED = b"\0", b"\1"


class Int8:
    """For the blocks of one model, whose fingerprint must say that its state is not exact."""

    name = "int8"
    code = 2

    def __init__(self, codec: BlockCodec, layout: KVLayout) -> None:
        self._codec = codec
        self._layout = layout
        self._lowest = _LOWEST_EXPONENT.get(layout.dtype, -120)

    def worthwhile(self, wire_bytes_per_second: float | None) -> bool:
        """Always: what an answer says must not depend on the speed of a network."""
        del wire_bytes_per_second
        return True

    def pack(self, block: Block) -> Block:
        view = memoryview(block)
        num_tokens, start = self._codec.measure(view)
        parts = [_QUANTISED, bytes(view[:start])]
        for numbers in self._slabs(view[start:], num_tokens):
            quantised, exponents = self._quantised(numbers.float())
            if not (numbers.isfinite().all() and self._numbers(quantised, exponents).isfinite().all()):
                return b"".join((_PLAIN, block))
            parts += [exponents.numpy().tobytes(), quantised.numpy().tobytes()]
        return b"".join(parts)

    def unpack(self, body: memoryview, raw_bytes: int) -> Block:
        how, content = bytes(body[:1]), body[1:]
        if how == _PLAIN and len(content) == raw_bytes:
            return content
        num_tokens, start = self._codec.measure(content)
        packed_bytes = sum(slab.rows * num_tokens * (slab.dim + 1) for slab in self._layout.slabs)
        if how != _QUANTISED or raw_bytes != self._codec.num_bytes(num_tokens) or len(content) != start + packed_bytes:
            raise CorruptBlock("another length than announced")
        block = bytearray(raw_bytes)
        block[:start] = content[:start]
        targets = self._slabs(memoryview(block)[start:], num_tokens)
        for target, (quantised, exponents) in zip(targets, self._packed(content[start:], num_tokens), strict=True):
            target.copy_(self._numbers(quantised, exponents))
        return self._codec.with_checksum(block)

    def _quantised(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """With the smallest power of two as scale that leaves no number above 127."""
        largest = numbers.abs().amax(dim=-1)
        mantissas, exponents = torch.frexp(largest / _LARGEST)
        exponents = (exponents - (mantissas == 0.5).int()).where(largest > 0, self._lowest)
        exponents = exponents.clamp(self._lowest, _LARGEST - 1)
        quantised = (numbers * _power_of_two(-exponents)).round().clamp(-_LARGEST, _LARGEST)
        return quantised.to(torch.int8), exponents.to(torch.int8)

    def _numbers(self, quantised: torch.Tensor, exponents: torch.Tensor) -> torch.Tensor:
        return (quantised.float() * _power_of_two(exponents)).to(self._layout.dtype)

    def _slabs(self, payload: memoryview, num_tokens: int) -> Iterator[torch.Tensor]:
        offset, dtype = 0, self._layout.dtype
        for slab in self._layout.slabs:
            count = slab.rows * num_tokens * slab.dim
            numbers = torch.frombuffer(payload, dtype=dtype, count=count, offset=offset)
            yield numbers.view(slab.rows, num_tokens, slab.dim)
            offset += count * dtype.itemsize

    def _packed(self, packed: memoryview, num_tokens: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        offset = 0
        for slab in self._layout.slabs:
            scales, count = slab.rows * num_tokens, slab.rows * num_tokens * slab.dim
            exponents = torch.frombuffer(packed, dtype=torch.int8, count=scales, offset=offset)
            quantised = torch.frombuffer(packed, dtype=torch.int8, count=count, offset=offset + scales)
            yield quantised.view(slab.rows, num_tokens, slab.dim), exponents.view(slab.rows, num_tokens)
            offset += scales + count


def _power_of_two(exponents: torch.Tensor) -> torch.Tensor:
    """Exactly, for each scale's numbers; made of the bits of a float32, for no library's `exp2` promises that."""
    return ((exponents.int() + 127) << 23).view(torch.float32).unsqueeze(-1)
