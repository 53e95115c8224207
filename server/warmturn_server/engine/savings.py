"""Measured savings: the same prompt was served from saved state and computed in full, and both were timed."""

from __future__ import annotations

from collections import OrderedDict

from ..engine_api.report import TurnReport
from ..engine_api.request import GenerationRequest, ReuseMode

_REMEMBERED = 4096
_Prompt = tuple[str, tuple[int, ...]]


class MeasuredSavings:
    """Pairs turns of the same prompt in the modes `state` and `prompt`, whichever came first."""

    def __init__(self) -> None:
        self._unpaired: OrderedDict[int, TurnReport] = OrderedDict()

    def pair(self, request: GenerationRequest, report: TurnReport) -> float | None:
        """Seconds saved, negative when lost, if this turn completes a pair; each turn is in one pair at most."""
        if report.prefill_ms is None or report.reuse is ReuseMode.NOTHING:
            return None
        if report.reuse is ReuseMode.STATE and not report.cached_tokens:
            return None
        prompt: _Prompt = (request.tenant, request.token_ids)
        other = self._unpaired.pop(hash(prompt), None)
        if other is None or other.reuse is report.reuse:
            self._unpaired[hash(prompt)] = report
            if len(self._unpaired) > _REMEMBERED:
                self._unpaired.popitem(last=False)
            return None
        state, full = (report, other) if report.reuse is ReuseMode.STATE else (other, report)
        return (_prefill_ms(full) - state.restore_ms - _prefill_ms(state)) / 1000


def _prefill_ms(report: TurnReport) -> float:
    return report.prefill_ms or 0.0
