"""Products a row of which comes out the same to the last bit, whatever rows are computed beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ....errors import ModelRefused
from ..products.packed import CompiledProduct
from ..products.product import MakeProduct, Product

_COUNTS = (*range(1, 18), 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129, 192, 255, 256, 257, 384, 511)
_SMALL_WEIGHTS = 2**22
_MANY, _FEWER = 512, 64
_ALWAYS = (16, 16)
"""One shape for all."""


class FixedRows:
    """Gives a product at least `least` and at most `most` rows at once, zeros where there are fewer."""

    def __init__(self, product: Product, least: int, most: int) -> None:
        self._product, self.least, self.most = product, least, most
        self.kind, self.num_bytes = product.kind, product.num_bytes

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        out = torch.cat([self._piece(piece) for piece in torch.split(rows, self.most)])
        return out.view(*x.shape[:-1], out.shape[1])

    def _piece(self, rows: torch.Tensor) -> torch.Tensor:
        if not 0 < len(rows) < self.least:
            return self._product(rows)
        padded = rows.new_zeros(self.least, rows.shape[1])
        padded[: len(rows)] = rows
        return self._product(padded)[: len(rows)]


class ExactProducts:
    """A `MakeProduct`: finds for each shape the widest bounds within which this machine's kernels keep their bits.

    Kernels are chosen by the number of rows, on each processor otherwise; so every product is tried on many numbers of
    rows, taken from many places. `bounds` are those found; a compiled product, which sums row by row, needs none.
    """

    def __init__(self, make: MakeProduct) -> None:
        self._make = make
        self.bounds = dict[tuple[object, ...], tuple[int, int]]()

    def __call__(self, linears: Sequence[nn.Linear]) -> Product:
        """Raises `ModelRefused` where none do."""
        in_features, dtype = linears[0].in_features, linears[0].weight.dtype
        out_features = sum(linear.out_features for linear in linears)
        product = self._make(linears)
        shape = (product.kind, in_features, out_features, any(linear.bias is not None for linear in linears))
        if shape not in self.bounds:
            many = _MANY if in_features * out_features <= _SMALL_WEIGHTS else _FEWER
            rows = torch.randn(many, in_features, generator=torch.Generator().manual_seed(0)).to(dtype)
            self.bounds[shape] = _widest(product, rows)
        return product if isinstance(product, CompiledProduct) else FixedRows(product, *self.bounds[shape])

    def describe(self) -> str:
        return ", ".join(f"{shape}: {bounds}" for shape, bounds in sorted(self.bounds.items(), key=str))


def _widest(product: Product, rows: torch.Tensor) -> tuple[int, int]:
    """The first that holds, the cheapest first."""
    many = len(rows)
    for bounds in ((1, many), (4, many), (8, many), (1, 32), (8, 32), (1, 8), _ALWAYS):
        if _keeps_its_bits(FixedRows(product, *bounds), rows):
            return bounds
    raise ModelRefused("this machine's products depend on what is computed beside them: --exact cannot be kept here")


@torch.inference_mode()
def _keeps_its_bits(product: FixedRows, rows: torch.Tensor) -> bool:
    whole = product(rows)
    for count in (count for count in _COUNTS if count < len(rows)):
        for start in {0, 7 * count % (len(rows) - count), len(rows) - count}:
            if not torch.equal(product(rows[start : start + count]), whole[start : start + count]):
                return False
    return True
