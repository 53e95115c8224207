"""Layer by layer, whether an executor computes what the model's own modules compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import torch

from ....kvcache import KVBuffer
from ..batch import Batch
from ..executor import Work
from ..own import OwnAnswer, in_chunks
from .read import NotTaken

_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}
_LOW_PRECISION_TOLERANCE = 0.05
_ROUNDING = {torch.bfloat16: 2**-7, torch.float16: 2**-10}
"""Of each number that goes through a layer, which may be far more than what the layer adds to it."""


class ByLayers(Protocol):
    """An executor whose layers can be asked one by one."""

    def prepared(self, batch: Batch) -> Any: ...

    def layer(self, number: int, x: torch.Tensor, prepared: Any) -> torch.Tensor:
        """What layer `number` makes of its input `[tokens, width]`, which may change; K and V go to the buffers."""
        ...


@torch.inference_mode()
def decline_if_a_layer_differs(executor: ByLayers, own: Sequence[OwnAnswer], buffer: Callable[[int], KVBuffer]) -> None:
    """Each layer is given what the model's own layer got, in chunks of both sequences, and must add what that added.

    So a mistake cannot hide behind what other layers do, nor behind how much goes through. Raises `NotTaken`.
    """
    count = len(own[0].token_ids)
    buffers = [buffer(count) for _ in own]
    for part in in_chunks(count):
        batch = Batch.of([Work(kv, answer.token_ids[part]) for kv, answer in zip(buffers, own, strict=True)])
        prepared = executor.prepared(batch)
        given = [torch.cat([answer.hidden[at][part] for answer in own]) for at in range(len(own[0].hidden))]
        for number, (before, after) in enumerate(pairwise(given)):
            _compare(number, before, after, executor.layer(number, before.clone(), prepared))
        batch.computed()


def _compare(number: int, before: torch.Tensor, after: torch.Tensor, got: torch.Tensor) -> None:
    added, off = after.float() - before.float(), (got.float() - after.float()).abs()
    off = (off - _ROUNDING.get(after.dtype, 1e-6) * after.float().abs()).clamp_min(0).norm() / added.norm()
    if not off <= _TOLERANCE.get(after.dtype, _LOW_PRECISION_TOLERANCE):
        raise NotTaken(f"layer {number} adds something else than the model's own does (off by {off:.1%})")
