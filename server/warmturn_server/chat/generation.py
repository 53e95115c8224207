"""What the engine is asked for a turn."""

from __future__ import annotations

import time

from ..engine_api import GenerationRequest, ReuseMode, SamplingParams
from .caching.caching import Wished
from .context import TurnContext
from .model import TurnRequest


def generation_request(
    request: TurnRequest, context: TurnContext, sampling: SamplingParams, wished: Wished, arrived: float
) -> GenerationRequest:
    """`sampling`: that of the request, with its form made ready. `arrived`: when it came, by `time.perf_counter`."""
    return GenerationRequest(
        token_ids=context.transcript.token_ids,
        sampling=sampling,
        reuse=ReuseMode.PROMPT if wished.uses_no_state else request.reuse,
        tenant=request.tenant,
        known_tokens=context.known_tokens,
        foreign_tokens=context.foreign_tokens,
        rewrite=context.rewrite,
        history_tokens=context.prompt.num_tokens_before(request.input) if context.rewrite else 0,
        continues=context.continues,
        lookback=context.outline.request() if context.outline and not request.cache.prewarm else None,
        waited_seconds=time.perf_counter() - arrived,
        follows=context.follows,
        near_copies=context.prompt.near_copies,
        lasting=(request.stored or context.conversation is not None) and not request.cache.prewarm,
        prewarm=request.cache.prewarm,
        keeping=wished.keeping,
    )
