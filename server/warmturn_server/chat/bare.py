"""A prompt that is no conversation: text or ids, and what the model writes behind it. Nothing of it is in any log."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from ..engine_api import GenerationRequest, ReuseMode, SamplingParams, TokenDelta
from ..engine_api.engine import Generating, TurnEngine
from .choices import of_choice
from .principal import Principal


@dataclass(frozen=True, slots=True)
class BarePrompt:
    """`prompt_logprobs`: how many alternatives to tell of each token of the prompt; None for nothing of it."""

    token_ids: tuple[int, ...]
    sampling: SamplingParams
    reuse: ReuseMode = ReuseMode.STATE
    prompt_logprobs: int | None = None


class BareReplies:
    """Those to some prompts, all of them at once. Always `close` them."""

    def __init__(self, engine: TurnEngine, prompts: Sequence[BarePrompt], count: int, principal: Principal) -> None:
        """`count`: of replies to each prompt. Raises what the engine has against any of them, and begins none then."""
        self.id = f"cmpl-{secrets.token_hex(24)}"
        self.created_at = int(time.time())
        self.model_name = engine.model_name
        self.prompts = [prompt for prompt in prompts for _ in range(count)]
        """Of each reply."""
        self._generations: list[Generating] = []
        try:
            for prompt in prompts:
                request = _request(prompt, principal)
                each = [replace(request, sampling=of_choice(prompt.sampling, number)) for number in range(count)]
                self._generations += engine.submit_choices(each)
        except BaseException:
            self.close()
            raise

    async def deltas(self, number: int) -> AsyncIterator[TokenDelta]:
        async for delta in self._generations[number]:
            yield delta

    def close(self) -> None:
        """Nobody reads any more. Harmless for those that are over."""
        for generation in self._generations:
            generation.cancel()


def _request(prompt: BarePrompt, principal: Principal) -> GenerationRequest:
    return GenerationRequest(
        token_ids=prompt.token_ids,
        sampling=prompt.sampling,
        reuse=prompt.reuse,
        tenant=principal.tenant,
        lasting=False,
        prompt_logprobs=prompt.prompt_logprobs,
    )
