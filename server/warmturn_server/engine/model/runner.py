"""A loaded model, ready to run: what is known about it, and who computes its steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

import torch

from ...errors import ModelRefused, StartRefused
from ...kvcache import KVBuffer, KVLayout
from .attention import look
from .compiled.amx import uses_amx
from .compiled.compiling import NotCompiled
from .exact.attention import look_exactly
from .exact.check import refuse_if_inexact
from .exact.products import ExactProducts
from .executor import Executor, WithFallback, Work, all_of
from .flops import pair_cost
from .generic import GenericExecutor
from .lean.check import decline_if_a_layer_differs
from .lean.executor import LeanExecutor
from .lean.read import NotTaken, decoder_layers, describe
from .loader import LoadedModel
from .native.executor import NativeExecutor
from .native.kernels import all_packed
from .own import own_answers
from .products.few_bits import WeightKind, few_bits
from .products.in_model import replace_linears
from .products.table import share_table, tied_head
from .verify import refuse_if_wrong
from .weights import Weights

_log = logging.getLogger(__name__)

ExecutorName = Literal["auto", "lean", "generic"]


class ModelRunner:
    """Runs a model over the next tokens of many sequences at once: an `Executor` that takes every step.

    By the fastest executor that is proved to compute what the model does, or by `executor` where that is named. Each
    takes the steps that it can, and leaves the others to the one before. `declined` says why there is no faster one.
    With one that is named nothing computes that is compiled here.
    `exact`: with the same bits however work is cut and batched, or not at all; by the compiled kernels, or by the lean
    executor where they are not there.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        executor: ExecutorName = "auto",
        weights: WeightKind = "auto",
        *,
        exact: bool = False,
    ) -> None:
        self.name = loaded.name
        self.device = loaded.device
        self.dtype = loaded.dtype
        self.context_length = loaded.context_length
        self.vocab_size = loaded.vocab_size
        self.num_threads = torch.get_num_threads()
        self.layout = KVLayout.of(loaded.layers, loaded.dtype)
        self.pair_cost = pair_cost(loaded.model, loaded.layers)
        self.weights = Weights.of(loaded.model)
        self.bits = few_bits(
            loaded.model, self.name, weights, loaded.device, loaded.checkpoint.gguf, compiled=executor == "auto"
        )
        with self.bits.meant():
            self._own = own_answers(loaded, decoder_layers(loaded.model) if executor != "generic" else ())
        self.exact = ExactProducts(self.bits) if exact else None
        tied = tied_head(loaded.model)
        self.products = replace_linears(loaded.model, self.exact or self.bits)
        if tied in self.products:
            share_table(loaded.model, self.products[tied])
        self.weights.now_in(loaded.model, self.products)
        self.generic = GenericExecutor(loaded.model, loaded.device)
        self._executor: Executor = self.generic
        refuse_if_wrong(self.generic, self.name, self._own, self.buffer)
        self.declined = self._speed_up(loaded, executor)
        if exact:
            self._refuse_if_inexact(loaded)
        _log.info("%s: steps by the %s executor, %s", self.name, self.executors[-1].kind, self.weights)

    def _speed_up(self, loaded: LoadedModel, most: ExecutorName) -> dict[str, str]:
        """Prefer what is faster; returns which is not there, and why."""
        if most == "generic":
            return {}
        try:
            model = describe(loaded, self.products)
            lean = LeanExecutor(model, self.context_length, look if self.exact is None else look_exactly)
            self._prefer_layers(lean)
        except (NotTaken, ModelRefused) as error:
            _log.warning("%s runs on the generic executor, which is slower: %s", self.name, error)
            return {"lean": str(error)}
        if most == "lean":
            return {}
        if self.exact is not None and not all_packed(model.layers):
            return {"native": "--exact needs products that the kernels compute"}
        try:
            self._prefer_layers(NativeExecutor(model, lean, self.layout))
        except (NotTaken, NotCompiled, ModelRefused) as error:
            _log.warning("%s runs without compiled kernels, which is slower: %s", self.name, error)
            return {"native": str(error)}
        return {}

    def _prefer_layers(self, executor: LeanExecutor | NativeExecutor) -> None:
        decline_if_a_layer_differs(executor, self._own, self.buffer)
        self.prefer(executor)

    def _refuse_if_inexact(self, loaded: LoadedModel) -> None:
        kind = self.executors[-1].kind
        why = ", ".join(self.declined.values()) or "--executor names another"
        if kind != "native" and any(scoring.softcap is not None for scoring in loaded.scorings):
            raise StartRefused(
                f"--exact needs compiled kernels for {self.name}, whose attention caps its scores: {why}"
            )
        if kind == "generic":
            raise StartRefused(f"--exact is what the other executors can do, which do not run here: {why}")
        refuse_if_inexact(self._executor, self.vocab_size, self.context_length, self.buffer)

    @property
    def arithmetic(self) -> str:
        """What saved state depends on besides the weights' files: their bits, and what `--exact` stands on."""
        if self.exact is None:
            return self.bits.version
        kind, processor = self.executors[-1].kind, torch.backends.cpu.get_cpu_capability()
        amx = " with AMX" if kind == "native" and uses_amx(self.dtype) else ""
        by = f"{kind} on {self.num_threads} threads of {processor}{amx}"
        return f"{self.bits.version}, exact 2 by {by}: {self.exact.describe()}"

    def prefer(self, executor: Executor) -> None:
        """Have it compute the steps that it takes from now on, once it is proved right; else `ModelRefused`."""
        both = WithFallback(executor, self._executor)
        refuse_if_wrong(both, self.name, self._own, self.buffer)
        self._executor = both

    @property
    def kind(self) -> str:
        """Of the executor that computed the latest step."""
        return self._executor.kind

    @property
    def executors(self) -> list[Executor]:
        """All that are there, the slowest first."""
        return all_of(self._executor)

    def about(self) -> dict[str, object]:
        """For people: who computes, why not a faster one, and what the weights take."""
        return {
            "kind": self.executors[-1].kind,
            "declined": self.declined,
            "weights": self.bits.name_of(self.dtype),
            "exact": self.exact is not None,
            "layers_in_dtype": self.bits.num_left,
            "layers_as_filed": dict(self.bits.as_filed),
            "kept_in_file": self.bits.kept_in_file,
            "weight_bytes": self.weights.loaded_bytes,
            "resident_weight_bytes": self.weights.resident_bytes,
        }

    def takes(self, step: Sequence[Work]) -> bool:  # noqa: ARG002
        return True

    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        """See `Executor`."""
        return self._executor.forward(step)

    def buffer(self, capacity: int = 0) -> KVBuffer:
        """An empty K/V buffer for a new sequence of this model."""
        return KVBuffer(self.layout, self.device, capacity)
