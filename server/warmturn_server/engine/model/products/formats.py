"""How weights are kept in few bits, and who multiplies with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from .int4 import GROUP, OUT_MULTIPLE, Int4Codes, compiled_int4, int4_by_torch
from .int8 import IN_MULTIPLE, Int8Codes, compiled_int8, int8_by_torch
from .int8_in_groups import Int8GroupCodes, compiled_int8_in_groups, int8_in_groups_by_torch
from .product import Product

_Make = Callable[[Any, torch.Tensor | None, torch.dtype], Product]
"""Of codes, and of a bias; in the dtype that is computed in."""


@dataclass(frozen=True, slots=True)
class Format:
    """`most_off`: a layer whose weights would be off by more, relatively, is not like others; it stays as it is."""

    name: str
    by_kernels: _Make
    by_torch: _Make
    in_multiple: int
    out_multiple: int
    most_off: float

    def why_not(self, linear: nn.Linear) -> str:
        """Empty where its shape will do."""
        if linear.in_features % self.in_multiple:
            return f"{linear.in_features} inputs, which {self.in_multiple} does not divide"
        if linear.out_features % self.out_multiple:
            return f"{linear.out_features} outputs, which {self.out_multiple} does not divide"
        return ""


_Codes = type[Int4Codes] | type[Int8Codes] | type[Int8GroupCodes]
MADE_HERE: Final[dict[str, type[Int4Codes] | type[Int8Codes]]] = {"int8": Int8Codes, "int4": Int4Codes}
"""Which codes weights get that came without any."""
FORMATS: Final[dict[_Codes, Format]] = {
    Int8Codes: Format("int8", compiled_int8, int8_by_torch, IN_MULTIPLE, 1, most_off=0.05),
    Int8GroupCodes: Format("int8", compiled_int8_in_groups, int8_in_groups_by_torch, GROUP, 1, most_off=0.05),
    Int4Codes: Format("int4", compiled_int4, int4_by_torch, GROUP, OUT_MULTIPLE, most_off=0.2),
}
