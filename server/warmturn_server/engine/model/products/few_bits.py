"""A model's weights in fewer bits than it was saved in, where that makes sense."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import nn
from torch.nn import functional

from ....errors import ModelRefused, StartRefused
from .dense import dense, dense_by_torch
from .in_model import LinearGroup, linear_groups
from .int4 import GROUP, OUT_MULTIPLE, Int4Codes, compiled_int4, int4_by_torch
from .int8 import IN_MULTIPLE, Int8Codes, compiled_int8, int8_by_torch
from .packed import kernels_multiply
from .product import Product, stacked_bias

WeightKind = Literal["auto", "int8", "int4"]
_log = logging.getLogger(__name__)
_TOLERANCE: Final = {torch.float32: 1e-4}
_LOW_PRECISION_TOLERANCE: Final = 0.02
_TRIED_ROWS: Final = (3, 20)
"""One for each way that a product may go."""


_Make = Callable[[Any, torch.Tensor | None, torch.dtype], Product]
"""Of codes, and of a bias; in the dtype that is computed in."""


@dataclass(frozen=True, slots=True)
class Format:
    """`most_off`: a layer whose weights would be off by more, relatively, is not like others; it stays as it is."""

    name: str
    codes: type[Any]
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


_FORMATS: Final = {
    "int8": Format("int8", Int8Codes, compiled_int8, int8_by_torch, IN_MULTIPLE, 1, most_off=0.05),
    "int4": Format("int4", Int4Codes, compiled_int4, int4_by_torch, GROUP, OUT_MULTIPLE, most_off=0.2),
}


class FewBits:
    """A `MakeProduct`: of weights in few bits for layers that can be kept so, dense ones for the others.

    `left` says of each of those, by its path, why. Of kind `auto` all are dense. `compiled`: by what is compiled here,
    where that is best.
    """

    def __init__(self, model: nn.Module, kind: WeightKind, *, compiled: bool = True) -> None:
        self.kind = kind
        self._compiled = compiled
        self.left = dict[str, str]()
        self._codes = dict[nn.Linear, Any]()
        if kind != "auto":
            self.left |= dict.fromkeys(_other_matrices(model), "it is no linear layer")
            for group in linear_groups(model):
                self._quantise(group, _FORMATS[kind])

    @property
    def version(self) -> str:
        """What saved state depends on: how weights become codes, and which product computes how many rows."""
        return "own" if self.kind == "auto" else f"{self.kind} 2"

    @property
    def num_left(self) -> int:
        """Products that are dense although others are not."""
        return len(self.left)

    def name_of(self, dtype: torch.dtype) -> str:
        """How weights are kept, for people."""
        return str(dtype).removeprefix("torch.") if self.kind == "auto" else self.kind

    def __call__(self, linears: Sequence[nn.Linear]) -> Product:
        """Takes the layers' codes, so that they are in memory once."""
        if not all(linear in self._codes for linear in linears):
            return dense(linears) if self._compiled else dense_by_torch(linears)
        form, dtype = _FORMATS[self.kind], linears[0].weight.dtype
        codes, bias = form.codes.stacked([self._codes.pop(linear) for linear in linears]), stacked_bias(linears)
        make = form.by_kernels if self._compiled and kernels_multiply(dtype) else form.by_torch
        product = make(codes, bias, dtype)
        _refuse_if_wrong(product, codes.dequantised(), bias, dtype)
        return product

    @contextmanager
    def meant(self) -> Iterator[None]:
        """Within the block the model itself computes with its weights as the bits say them."""
        with ExitStack() as hooks:
            for linear, codes in self._codes.items():
                hooks.callback(linear.register_forward_hook(_as_said_by(codes)).remove)
            yield

    def _quantise(self, group: LinearGroup, form: Format) -> None:
        """All layers of a group or none."""
        if why := next(filter(None, map(form.why_not, group.linears)), ""):
            self.left[group.path] = why
            return
        codes = {linear: form.codes.of(linear.weight.detach()) for linear in group.linears}
        off = max(_off(linear.weight.detach(), codes[linear].dequantised()) for linear in codes)
        if off <= form.most_off:
            self._codes |= codes
        else:
            self.left[group.path] = f"its weights would be off by {off:.0%}"


def few_bits(model: nn.Module, name: str, kind: WeightKind, device: torch.device, *, compiled: bool = True) -> FewBits:
    """Raises `StartRefused` where no weight of the model `name` can be kept like that."""
    if kind != "auto" and device.type != "cpu":
        raise StartRefused(f"--weights {kind} is made for the CPU, not for {device}: leave out one of the two")
    chosen = FewBits(model, kind, compiled=compiled)
    if kind != "auto" and not chosen._codes:
        why = next(iter(chosen.left.values()), "it has no linear layers")
        raise ModelRefused(f"none of {name}'s weights can be kept in {kind} ({why}): leave out --weights")
    if chosen.left:
        path, why = next(iter(chosen.left.items()))
        _log.warning("%d products of %s stay in its dtype, such as %s: %s", chosen.num_left, name, path, why)
    return chosen


def _other_matrices(model: nn.Module) -> Iterator[str]:
    """What multiplies with weights in a way of its own, as GPT-2's layers and stacked experts do."""
    for path, module in model.named_modules():
        if not isinstance(module, nn.Linear | nn.Embedding):
            yield from (f"{path}.{name}" for name, own in module.named_parameters(recurse=False) if own.dim() > 1)


def _as_said_by(codes: Any) -> Callable[[nn.Linear, tuple[torch.Tensor, ...], torch.Tensor], torch.Tensor]:
    """In float32: codes and scales have more bits between them than bfloat16."""

    def hook(linear: nn.Linear, given: tuple[torch.Tensor, ...], _: torch.Tensor) -> torch.Tensor:
        bias = None if linear.bias is None else linear.bias.float()
        return functional.linear(given[0].float(), codes.dequantised(), bias).to(given[0].dtype)

    return hook


def _off(expected: torch.Tensor, got: torch.Tensor) -> float:
    """Relatively; of nothing but zeros, nothing."""
    difference = (got.float() - expected.float()).norm()
    return float(difference / expected.float().norm()) if difference else 0.0


@torch.inference_mode()
def _refuse_if_wrong(product: Product, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
    """Kernels for few bits are young, and torch's take shapes that they compute wrongly: each one is tried."""
    for count in _TRIED_ROWS:
        rows = torch.randn(count, weight.shape[1], generator=torch.Generator().manual_seed(0)).to(dtype)
        expected = functional.linear(rows.float(), weight, None if bias is None else bias.float())
        if not _off(expected, product(rows)) <= _TOLERANCE.get(dtype, _LOW_PRECISION_TOLERANCE):
            shape = f"{weight.shape[1]} by {weight.shape[0]}"
            raise ModelRefused(
                f"this machine multiplies {product.kind} weights of {shape} wrongly: leave out --weights"
            )
