"""Whether a turn came to a server that holds its conversation: what a balancer's affinity is judged by."""

from __future__ import annotations

from typing import Final

from ..engine_api.report import TurnReport
from ..engine_api.request import GenerationRequest, ReuseMode
from ..kvcache import reusable_tokens

NOT_HELD: Final = "nothing"


def held_in(request: GenerationRequest, report: TurnReport) -> str | None:
    """The most distant tier that a known conversation's state came from; `nothing` when most of it was nowhere.

    None for what says nothing about it: a first turn, a turn that must not reuse, one that was stopped too early.
    Less than half counts as nothing: a system prompt that many conversations share is not yet the conversation.
    """
    known_tokens = min(request.known_tokens, reusable_tokens(report.prompt_tokens))
    if not request.continues or not known_tokens or report.reuse is not ReuseMode.STATE or report.prefill_ms is None:
        return None
    if 2 * report.cached_tokens < known_tokens:
        return NOT_HELD
    return [tier for tier, num_tokens in report.cached_by_tier.items() if num_tokens][-1]
