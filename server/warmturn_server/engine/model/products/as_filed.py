"""A model's layers in the very bits that a GGUF file has for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Literal

import torch
from torch import nn

from ..compiled.amx import kernels_multiply
from ..gguf import GgufFile
from .formats import FORMATS
from .gguf_blocks import EIGHT_BITS, FOUR_BITS, codes_of
from .gguf_rows import GgufRows
from .in_model import LinearGroup
from .int4 import Int4Codes
from .int8_in_groups import Int8GroupCodes

_Codes = Int4Codes | Int8GroupCodes
_LEAST_OF_FLOAT: Final = 2**-22
"""Of the greatest number: what a sum in float32 may be off by."""
_ROWS_AT_ONCE: Final = 4096


@dataclass(frozen=True, slots=True)
class Filed:
    """One layer; `kind`: the file's word for how it keeps it."""

    kind: str
    codes: _Codes


def codes_as_filed(
    groups: Sequence[LinearGroup], file: GgufFile, bits: Literal["int8", "int4"], *, compiled: bool
) -> dict[nn.Linear, Filed]:
    """Of groups all layers of which the file keeps alike.

    Of a file that keeps some in four bits `int4` has those, and the ones that it keeps in eight; of others none.
    Where the compiled kernels do not multiply (see `FewBits`) scales are rounded to the dtype, as torch's kernel needs
    them, and eight bits with a scale for each group, which torch cannot multiply with, are left out.
    """
    by_kernels = compiled and all(kernels_multiply(group.dtype) for group in groups)
    kinds = (FOUR_BITS if bits == "int4" else ()) + (EIGHT_BITS if by_kernels else ())
    if not any(tensor.kind in (FOUR_BITS if bits == "int4" else kinds) for tensor in file.quantised):
        return {}
    filed = dict[nn.Linear, Filed]()
    rows = {dtype: GgufRows(file.quantised, kinds, dtype) for dtype in {group.dtype for group in groups}}
    for group in groups:
        found = [one for linear in group.linears for one in _filed(linear, rows[group.dtype])]
        if len(found) == len(group.linears) and len({type(one.codes) for one in found}) == 1:
            filed |= zip(group.linears, found, strict=True)
    if bits == "int4" and not any(isinstance(one.codes, Int4Codes) for one in filed.values()):
        return {}
    return filed if by_kernels else {linear: _rounded(one, linear.weight.dtype) for linear, one in filed.items()}


def best_kept(file: GgufFile) -> Literal["int8", "int4"] | None:
    """The kind of weights under which bits of the file would be kept, if there is one."""
    kinds = {tensor.kind for tensor in file.quantised}
    if not kinds.isdisjoint(FOUR_BITS):
        return "int4"
    return None if kinds.isdisjoint(EIGHT_BITS) else "int8"


def _filed(linear: nn.Linear, rows: GgufRows) -> Iterator[Filed]:
    """One, or none."""
    weight = linear.weight.detach()
    for kind, found in rows.find(weight):
        codes = codes_of(kind, found)
        if codes is not None and not FORMATS[type(codes)].why_not(linear) and _are_said_by(codes, weight):
            yield Filed(kind, codes)
            return


def _are_said_by(codes: _Codes, weight: torch.Tensor) -> bool:
    """Each number of the weight, but for how the model's dtype rounds it."""
    rounding, least = torch.finfo(weight.dtype).eps, _LEAST_OF_FLOAT * float(weight.abs().max())
    parts = (slice(start, start + _ROWS_AT_ONCE) for start in range(0, len(weight), _ROWS_AT_ONCE))
    return all(
        torch.allclose(_some(codes, part).dequantised(), weight[part].float(), rtol=rounding, atol=least)
        for part in parts
    )


def _some(codes: _Codes, rows: slice) -> _Codes:
    return type(codes)(*(getattr(codes, field.name)[rows] for field in fields(codes)))


def _rounded(filed: Filed, dtype: torch.dtype) -> Filed:
    """Its scales."""
    assert isinstance(filed.codes, Int4Codes)
    scales, zeros = filed.codes.scales.to(dtype), filed.codes.zeros.to(dtype)
    return replace(filed, codes=replace(filed.codes, scales=scales, zeros=zeros))
