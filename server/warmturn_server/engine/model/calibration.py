"""A short measurement at start, so that the first turn's estimate already rests on this machine and model."""

from __future__ import annotations

import time

import torch

from .cost_model import CostModel
from .device import finish
from .executor import Work
from .runner import ModelRunner

_SIZES = (8, 32, 128, 512)
_CONTEXTS = (0, 512)
_ENOUGH_SECONDS = 2.0
_AT_LEAST = 2


def calibrate(runner: ModelRunner, cost_model: CostModel, budget: int) -> None:
    """Time prefills of rising length, on empty and on longer context, until enough time has gone into it."""
    began, measured = time.perf_counter(), 0
    _prefill(runner, 0, 2)  # the first pass pays for allocations that no later one pays
    for context in _CONTEXTS:
        for size in sorted({min(size, budget) for size in _SIZES}):
            enough = measured >= _AT_LEAST and time.perf_counter() - began > _ENOUGH_SECONDS
            if context + size <= runner.context_length and not enough:
                if runner.device.type == "cuda":  # whose kernels are loaded when they are first used, a size's own ones
                    _prefill(runner, context, size)
                cost_model.observe(size, context, _prefill(runner, context, size))
                measured += 1
    cost_model.fit()


def _prefill(runner: ModelRunner, context: int, size: int) -> float:
    buffer = runner.buffer(context + size)
    for layer in range(len(runner.layout.layers)):
        for part in buffer.layer(layer):
            part.zero_()
    buffer.length = context
    finish(runner.device)
    token_ids = torch.randint(runner.vocab_size, (size,), generator=torch.Generator().manual_seed(0)).tolist()
    began = time.perf_counter()
    runner.forward([Work(buffer, token_ids)])
    return time.perf_counter() - began
