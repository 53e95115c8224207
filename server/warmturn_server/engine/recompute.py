"""What a turn would have taken without saved state: measured where that is what was done, else estimated."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine_api.report import Bounds, RecomputeSource
from ..engine_api.request import ReuseMode
from .model.cost_model import CostModel, Estimate
from .model.effort import Effort
from .sequence import Sequence

_NEGLIGIBLE = 0.05
"""Of what was computed anyway: whatever was spared is then known well enough, however badly by itself."""


@dataclass(frozen=True, slots=True)
class Recompute:
    """Milliseconds; `bounds` of an estimate hold 95%. All is None where it is not known well enough."""

    ms: float | None = None
    bounds: Bounds | None = None
    source: RecomputeSource | None = None


def recompute(sequence: Sequence, prefill_ms: float | None, cost_model: CostModel) -> Recompute:
    """The turn's own prefill, and what it was spared.

    To compute all of the prompt is to compute its end as well, which was just measured: a hiccup there is in both and
    no loss of reuse. And how fast that went, at this very moment, is what the rest is priced by.
    Several choices of one prompt share it without any saved state as well.
    """
    if prefill_ms is None:
        return Recompute()
    num_tokens, cached = sequence.num_prompt_tokens, sequence.prefix.num_tokens
    if sequence.request.reuse is not ReuseMode.STATE or not cached or sequence.first:
        return Recompute(prefill_ms, None, "measured")
    spared = cost_model.effort(num_tokens) - cost_model.effort(num_tokens - cached, cached)
    estimate = _at_its_pace(sequence, spared, cost_model)
    if estimate is None or not (estimate.trusted or 1000 * estimate.high < _NEGLIGIBLE * prefill_ms):
        return Recompute()
    low, value, high = (prefill_ms + 1000 * seconds for seconds in (estimate.low, estimate.seconds, estimate.high))
    return Recompute(value, (low, high), "estimated")


def seconds_at_its_pace(sequence: Sequence, effort: Effort, cost_model: CostModel) -> float | None:
    """What `effort` took while this turn's prompt was computed; None where nobody can say."""
    estimate = _at_its_pace(sequence, effort, cost_model)
    return estimate.seconds if estimate is not None and estimate.trusted else None


def _at_its_pace(sequence: Sequence, effort: Effort, cost_model: CostModel) -> Estimate | None:
    return cost_model.estimate(effort, sequence.prefilled.effort, sequence.prefilled.seconds)
