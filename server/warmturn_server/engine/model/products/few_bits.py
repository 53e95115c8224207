"""A model's weights in fewer bits than it was saved in, where that makes sense."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, Literal

import torch
from torch import nn
from torch.nn import functional

from ....errors import ModelRefused, StartRefused
from ..compiled.amx import kernels_multiply
from ..gguf import GgufFile
from .as_filed import Filed, best_kept, codes_as_filed
from .dense import dense, dense_by_torch
from .formats import FORMATS, MADE_HERE
from .in_model import LinearGroup, linear_groups
from .product import Product, stacked_bias

WeightKind = Literal["auto", "int8", "int4"]
_log = logging.getLogger(__name__)
_TOLERANCE: Final = {torch.float32: 1e-4}
_LOW_PRECISION_TOLERANCE: Final = 0.02
_TRIED_ROWS: Final = (3, 20)
"""One for each way that a product may go."""


class FewBits:
    """A `MakeProduct`: of weights in few bits for layers that can be kept so, dense ones for the others.

    `left` says of each of those, by its path, why. Of kind `auto` all are dense. `compiled`: by what is compiled here,
    where that is best. `file`: the GGUF file that the model came out of, if any: layers keep the bits that it has for
    them, see `codes_as_filed`, and `as_filed` counts those by the file's word for it. Where it has some in four bits
    others get eight, for it has them in more. `kept_in_file`: the kind under which that would be so, if any.
    """

    def __init__(
        self, model: nn.Module, kind: WeightKind, file: GgufFile | None = None, *, compiled: bool = True
    ) -> None:
        self.kind = kind
        self.left = dict[str, str]()
        self.as_filed = Counter[str]()
        self.kept_in_file = best_kept(file) if file else None
        self._compiled = compiled
        self._codes = dict[nn.Linear, Any]()
        if kind != "auto":
            self.left |= dict.fromkeys(_other_matrices(model), "it is no linear layer")
            groups = linear_groups(model)
            self._keep(codes_as_filed(groups, file, kind, compiled=compiled) if file else {})
            for group in groups:
                if group.linears[0] not in self._codes:
                    self._quantise(group, MADE_HERE["int8" if self.as_filed else kind])

    @property
    def version(self) -> str:
        """What saved state depends on: how weights become codes, and which product computes how many rows."""
        if self.kind == "auto":
            return "own"
        return f"{self.kind} 3, {self.told}" if self.as_filed else f"{self.kind} 3"

    @property
    def told(self) -> str:
        """How many layers are in which of the file's own bits, for people."""
        return ", ".join(f"{count} {kind}" for kind, count in sorted(self.as_filed.items()))

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
        parts, dtype = [self._codes.pop(linear) for linear in linears], linears[0].weight.dtype
        codes, form, bias = type(parts[0]).stacked(parts), FORMATS[type(parts[0])], stacked_bias(linears)
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

    def _keep(self, filed: Mapping[nn.Linear, Filed]) -> None:
        self._codes |= {linear: one.codes for linear, one in filed.items()}
        self.as_filed.update(one.kind for one in filed.values())

    def _quantise(self, group: LinearGroup, codes: type[Any]) -> None:
        """All layers of a group or none."""
        form = FORMATS[codes]
        if why := next(filter(None, map(form.why_not, group.linears)), ""):
            self.left[group.path] = why
            return
        made = {linear: codes.of(linear.weight.detach()) for linear in group.linears}
        off = max(_off(linear.weight.detach(), made[linear].dequantised()) for linear in made)
        if off <= form.most_off:
            self._codes |= made
        else:
            self.left[group.path] = f"its weights would be off by {off:.0%}"


def few_bits(
    model: nn.Module,
    name: str,
    kind: WeightKind,
    device: torch.device,
    file: GgufFile | None = None,
    *,
    compiled: bool = True,
) -> FewBits:
    """Raises `StartRefused` where no weight of the model `name` can be kept like that. `file`: see `FewBits`."""
    if kind != "auto" and device.type != "cpu":
        raise StartRefused(f"--weights {kind} is made for the CPU, not for {device}: leave out one of the two")
    chosen = FewBits(model, kind, file if device.type == "cpu" else None, compiled=compiled)
    if kind != "auto" and not chosen._codes:
        why = next(iter(chosen.left.values()), "it has no linear layers")
        raise ModelRefused(f"none of {name}'s weights can be kept in {kind} ({why}): leave out --weights")
    _tell_of_file(chosen, name)
    if chosen.left:
        path, why = next(iter(chosen.left.items()))
        _log.warning("%d products of %s stay in its dtype, such as %s: %s", chosen.num_left, name, path, why)
    return chosen


def _tell_of_file(chosen: FewBits, name: str) -> None:
    made = len(chosen._codes) - chosen.as_filed.total()
    if chosen.as_filed:
        others = f"; {made} others, of other kinds or other than in the file, in int8" if made else ""
        _log.info("%s: layers in the file's own bits: %s%s", name, chosen.told, others)
    elif chosen.kind == "auto" and (kept := chosen.kept_in_file):
        _log.info("%s: its file's weights are unpacked; --weights %s keeps the file's own bits", name, kept)


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
