"""A short measurement at start, so that the first turn's estimate already rests on this machine and model."""

from __future__ import annotations

import time

import torch

from .cost_model import CostModel
from .device import finish
from .executor import Work
from .runner import ModelRunner
from .step_costs import StepCosts, measured_step_costs

_PLAN = ((64, 0), (512, 0), (8, 0), (512, 1536), (8, 512), (128, 0))
"""Tokens, and after how many. The long ones tell most; a short one first, to tell whether there is time for them."""
_ENOUGH_SECONDS = 3.0
_USUAL_CONTEXT = 512
_DECODED = 8
"""Of steps of so many tokens and less all rows are wanted: they stand for those in which tokens are tried."""


def calibrate(runner: ModelRunner, cost_model: CostModel, budget: int) -> None:
    """Time short and long prefills, but those that would not be over in time: estimates are unsure then."""
    _prefill(runner, 0, 2)  # the first pass pays for allocations that no later one pays
    ends = time.perf_counter() + _ENOUGH_SECONDS
    for size, context in _plan(budget, runner.context_length):
        if time.perf_counter() + (cost_model.seconds(size, context) or 0.0) > ends:
            continue
        if runner.device.type == "cuda":  # whose kernels are loaded when they are first used, a size's own ones
            _prefill(runner, context, size)
        cost_model.observe(size, context, _prefill(runner, context, size))


def step_costs(runner: ModelRunner) -> StepCosts:
    """Of steps that decode, in the middle of a conversation."""
    context = min(_USUAL_CONTEXT, runner.context_length // 2)
    _prefill(runner, context, 8)
    return measured_step_costs(lambda size: _prefill(runner, context, min(size, runner.context_length - context)))


def _plan(budget: int, context_length: int) -> list[tuple[int, int]]:
    """For each context the sizes that one step and the model's context allow."""
    fitting = [(min(size, budget, context_length - context), context) for size, context in _PLAN]
    return list(dict.fromkeys((size, context) for size, context in fitting if size > 0))


def _prefill(runner: ModelRunner, context: int, size: int) -> float:
    buffer = runner.buffer(context + size)
    for layer in range(len(runner.layout.layers)):
        for part in buffer.layer(layer):
            part.zero_()
    buffer.length = context
    finish(runner.device)
    token_ids = torch.randint(runner.vocab_size, (size,), generator=torch.Generator().manual_seed(0)).tolist()
    began = time.perf_counter()
    runner.forward([Work(buffer, token_ids, rows=range(size - 1) if size <= _DECODED else ())])
    return time.perf_counter() - began
