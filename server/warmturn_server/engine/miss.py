"""A miss explained: where reuse stopped, why, what stood there, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass

from ..kvcache import Gap, MissReason, PrefillSeconds, reusable_tokens
from .request import GenerationRequest, ReuseMode, Rewrite

_BLOCK_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Miss:
    """Where reuse stopped short of what the conversation had, and why.

    `lost_tokens` had state and were computed again, which took about `cost_ms`; where restoring them was expected to
    take longer, `restore_ms` says how long. `block` begins as the name of the block's file does. `rewrite` is set
    where a template changed history, even if reuse stopped before that.
    """

    at_token: int
    reason: MissReason
    lost_tokens: int = 0
    cost_ms: float | None = None
    restore_ms: float | None = None
    tier: str | None = None
    block: str | None = None
    rewrite: Rewrite | None = None


def explain(
    request: GenerationRequest,
    cached: int,
    gap: Gap | None,
    restore_seconds: float | None,
    prefill_seconds: PrefillSeconds,
) -> Miss | None:
    """The miss of a turn that reused `cached` prompt tokens; None if it had no more to reuse."""
    if request.reuse is not ReuseMode.STATE:
        return None
    rewrite = request.rewrite
    if cached < min(request.known_tokens, reusable_tokens(len(request.token_ids))):
        gap = gap or Gap(MissReason.NOT_FOUND)
        at_token = cached
    elif rewrite is not None:
        gap = Gap(MissReason.HISTORY_REWRITTEN)
        at_token = rewrite.at_token
    else:
        return None
    lost = _lost(request, at_token)
    return Miss(
        at_token,
        gap.reason,
        lost,
        _ms(prefill_seconds(lost, at_token)),
        _ms(restore_seconds) if gap.reason is MissReason.RECOMPUTE_FASTER else None,
        gap.tier,
        gap.key.hex()[:_BLOCK_DIGITS] if gap.key else None,
        rewrite,
    )


def _lost(request: GenerationRequest, at_token: int) -> int:
    """Tokens that had state and stand before the reply again; of a rewritten history, as many as replace it."""
    had = max(request.known_tokens, request.rewrite.known_tokens if request.rewrite else 0)
    return max(min(had, reusable_tokens(len(request.token_ids))) - at_token, 0)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
