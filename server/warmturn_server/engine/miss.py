"""A miss explained: where reuse stopped, why, what stood there, and what that cost."""

from __future__ import annotations

from collections.abc import Callable

from ..engine_api import MissReason
from ..engine_api.report import Miss
from ..engine_api.request import GenerationRequest, ReuseMode
from ..kvcache import BlockMiss, reusable_tokens

_BLOCK_DIGITS = 16

CostSeconds = Callable[[int, int], float | None]
"""From which token on, how many: what it cost to compute them although they had been computed before."""


def explain(
    request: GenerationRequest,
    cached: int,
    block_miss: BlockMiss | None,
    restore_seconds: float | None,
    cost_seconds: CostSeconds,
    block_size: int,
) -> Miss | None:
    """The miss of a turn that reused `cached` prompt tokens; None if it had no more to reuse.

    A turn that only begins as others did had no state of its own to miss: that a tier lost some is still told.
    """
    if request.reuse is not ReuseMode.STATE:
        return None
    rewrite = request.rewrite
    if cached < min(request.known_tokens, reusable_tokens(len(request.token_ids))):
        block_miss = block_miss or BlockMiss(MissReason.NOT_FOUND)
        at_token = cached
        if (
            block_miss.reason is MissReason.NOT_FOUND
            and rewrite
            and _share_a_block(cached, rewrite.at_token, block_size)
        ):
            block_miss = BlockMiss(MissReason.HISTORY_REWRITTEN)
        if block_miss.reason is MissReason.NOT_FOUND and not request.continues:
            return None
    elif rewrite is not None and (cached <= rewrite.at_token or request.history_tokens - cached > block_size):
        block_miss = BlockMiss(MissReason.HISTORY_REWRITTEN)
        at_token = max(cached, rewrite.at_token)  # beyond, other turns had said the same, or it was computed ahead
    elif cached < _foreign(request):
        block_miss = BlockMiss(MissReason.FINGERPRINT)
        at_token = cached
    else:
        return None
    lost = _lost(request, at_token)
    return Miss(
        at_token,
        block_miss.reason,
        lost,
        _ms(cost_seconds(at_token, lost)),
        _ms(restore_seconds) if block_miss.reason is MissReason.RECOMPUTE_FASTER else None,
        block_miss.tier,
        block_miss.key.hex()[:_BLOCK_DIGITS] if block_miss.key else None,
        rewrite,
        block_miss.promise,
    )


def _share_a_block(cached: int, rewritten_at: int, block_size: int) -> bool:
    """Whether the block after the reused ones is another one only because of the rewriting further on in it."""
    return cached // block_size == rewritten_at // block_size


def _foreign(request: GenerationRequest) -> int:
    """Tokens whose state another model had; of this prompt it may be a few more or less, but no more than there are."""
    return min(reusable_tokens(request.foreign_tokens), reusable_tokens(len(request.token_ids)))


def _lost(request: GenerationRequest, at_token: int) -> int:
    """Tokens that had state and stand before the reply again; of a rewritten history, as many as replace it."""
    had = max(request.known_tokens, request.rewrite.known_tokens if request.rewrite else 0, _foreign(request))
    return max(min(had, reusable_tokens(len(request.token_ids))) - at_token, 0)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
