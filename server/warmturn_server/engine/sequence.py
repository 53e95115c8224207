"""A turn while the engine runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from ..engine_api.lookback import Lookback
from ..engine_api.report import (
    ControlMode,
    ControlReport,
    FinishReason,
    Miss,
    RecomputeSource,
    TokenDelta,
    TokenLogprobs,
    TurnReport,
)
from ..engine_api.request import GenerationRequest, ReuseMode
from ..kvcache import BlockMiss, KVBuffer
from .audit.control import Control
from .detokenizer import Detokenizer
from .lookback.capture import Queries
from .miss import explain
from .model.cost_model import CostModel
from .sampling.sampler import Sampler

Sink = Callable[[TokenDelta | BaseException], None]


@dataclass(slots=True)
class Timeline:
    """When things happened, on the clock of `time.perf_counter`."""

    arrived: float
    admitted: float = 0.0
    ready: float = 0.0
    first_token: float | None = None
    last_token: float = 0.0


@dataclass(slots=True)
class Prefix:
    """Where the state that a sequence began with came from."""

    tokens_by_tier: dict[str, int] = field(default_factory=dict)
    block_miss: BlockMiss | None = None
    restore_seconds: float | None = None
    """How long restoring was expected to take, where it was passed over for that."""
    block_size: int = 1
    """In how many tokens at a time the tiers keep state."""

    @property
    def num_tokens(self) -> int:
        return sum(self.tokens_by_tier.values())


class Sequence:
    """Prompt and output ids, the K/V of those computed so far, and what is owed to whoever asked."""

    def __init__(
        self,
        request: GenerationRequest,
        max_new_tokens: int,
        detokenizer: Detokenizer,
        eos_token_ids: frozenset[int],
        sink: Sink,
    ) -> None:
        self.request = request
        self.token_ids: list[int] = list(request.token_ids)
        self.max_new_tokens = max_new_tokens
        self.sink = sink
        self.sampler = Sampler(request.sampling, request.token_ids, eos_token_ids)
        self.buffer: KVBuffer | None = None
        self.queries = Queries(request.lookback.first) if request.lookback else None
        self.reuse_limit = request.lookback.first if request.lookback and request.recomputes_reply else None
        """The most tokens that a replay may take over, as a copy."""
        self.prefix = Prefix()
        self.restoring = False
        self.cancelled = False
        self.control: Control | None = None
        self.timeline = Timeline(now() - request.waited_seconds)
        self.lookback: Future[Lookback | None] | None = None
        """Being made, when the sequence is over and if it was asked for."""
        self.last_scheduled = 0.0
        self._detokenizer = detokenizer
        self._eos_token_ids = eos_token_ids

    @property
    def kv(self) -> KVBuffer:
        assert self.buffer is not None, "only an admitted sequence has K and V"
        return self.buffer

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.request.token_ids)

    @property
    def num_output_tokens(self) -> int:
        return len(self.token_ids) - self.num_prompt_tokens

    @property
    def max_tokens(self) -> int:
        return self.num_prompt_tokens + self.max_new_tokens

    @property
    def replaced(self) -> bool:
        """Whether it is computed from scratch although it might go on from state."""
        return self.control is not None and self.control.mode is ControlMode.REPLACE

    @property
    def prefill_seconds(self) -> float:
        """From ready to the first token; call it when there is one."""
        return (self.timeline.first_token or self.timeline.ready) - self.timeline.ready

    @property
    def num_pending(self) -> int:
        """Tokens whose K and V are not computed yet; 1 while decoding."""
        return len(self.token_ids) - self.kv.length

    def pending(self, count: int) -> list[int]:
        return self.token_ids[self.kv.length : self.kv.length + count]

    def accept(
        self, token_id: int, logprobs: TokenLogprobs | None, now: float
    ) -> tuple[TokenDelta, FinishReason | None]:
        """Take a sampled token; returns what to tell the caller, and why the sequence is over if it is."""
        if self.timeline.first_token is None:
            self.timeline.first_token = now
        self.timeline.last_token = self.last_scheduled = now
        self.token_ids.append(token_id)
        self.sampler.accept(token_id)
        reason: FinishReason | None = None
        if token_id in self._eos_token_ids:
            text, reason = self._detokenizer.finish(), "stop"
        else:
            text = self._detokenizer.add(token_id)
            if self._detokenizer.stopped:
                reason = "stop"
            elif self.num_output_tokens >= self.max_new_tokens:
                text += self._detokenizer.finish()
                reason = "stop" if self._detokenizer.stopped else "length"
        if self.request.reuse is ReuseMode.NOTHING:
            self.kv.length = 0
        return TokenDelta(text, (token_id,), () if logprobs is None else (logprobs,)), reason

    def report(self, cost_model: CostModel, control: ControlReport | None = None) -> TurnReport:
        """The turn's account."""
        line, prefix = self.timeline, self.prefix
        estimate = cost_model.seconds(self.num_prompt_tokens)
        restore_ms = _ms(line.ready - line.admitted)
        prefill_ms = None if line.first_token is None else _ms(line.first_token - line.ready)
        reused = self.request.reuse is ReuseMode.STATE
        estimated = reused and prefix.num_tokens > 0
        recompute_ms = prefill_ms if not estimated else None if estimate is None else _ms(estimate)
        source: RecomputeSource = "estimated" if estimated else "measured"
        saved_ms = None if recompute_ms is None or prefill_ms is None else recompute_ms - restore_ms - prefill_ms
        return TurnReport(
            reuse=ReuseMode.PROMPT if self.replaced else self.request.reuse,
            prompt_tokens=self.num_prompt_tokens,
            cached_tokens=prefix.num_tokens,
            prefilled_tokens=self._num_prefilled(),
            cached_by_tier=dict(prefix.tokens_by_tier),
            queue_ms=_ms(line.admitted - line.arrived),
            restore_ms=restore_ms,
            prefill_ms=prefill_ms,
            ttft_ms=None if line.first_token is None else _ms(line.first_token - line.arrived),
            decode_ms_per_token=self._decode_ms_per_token(),
            recompute_ms=recompute_ms,
            recompute_source=source if recompute_ms is not None else None,
            saved_ms=saved_ms,
            miss=self._miss(cost_model),
            control=control,
        )

    def _miss(self, cost_model: CostModel) -> Miss | None:
        if self.replaced:
            return None
        prefix = self.prefix
        return explain(
            self.request,
            prefix.num_tokens,
            prefix.block_miss,
            prefix.restore_seconds,
            cost_model.seconds,
            prefix.block_size,
        )

    def _num_prefilled(self) -> int:
        """Prompt tokens computed for this turn; a cancelled one may not have come to all of them."""
        if self.timeline.first_token is not None:
            return self.num_prompt_tokens - self.prefix.num_tokens
        return max(self.buffer.length - self.prefix.num_tokens, 0) if self.buffer else 0

    def _decode_ms_per_token(self) -> float | None:
        line = self.timeline
        if line.first_token is None or self.num_output_tokens < 2:
            return None
        return _ms(line.last_token - line.first_token) / (self.num_output_tokens - 1)


def _ms(seconds: float) -> float:
    return seconds * 1000


def now() -> float:
    return time.perf_counter()
