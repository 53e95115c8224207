"""Weights laid out once the way the CPU's matrix instructions want them, instead of again at every product."""

from __future__ import annotations

import torch
from torch import nn

_ROWS_HINT = 64


class PrepackedLinear(nn.Module):
    """`nn.Linear` with its weight in oneDNN's blocked layout; the same numbers in the same order of summation."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS_HINT)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[..., in_features]` -> `[..., out_features]`."""
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")
        return out


def prepack(model: nn.Module) -> None:
    """Replace the linear layers of a bfloat16 model on the CPU; any other model stays as it is.

    Measured on two cores with AVX512-BF16: a decoding step's products take 0.65 to 0.75 of the time, those of a prefill
    of 64 tokens 0.8. In float32 the products do not go through oneDNN and nothing is to be won.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and child.weight.dtype is torch.bfloat16 and child.weight.device.type == "cpu":
                setattr(module, name, PrepackedLinear(child))
