"""A turn while the engine runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Items
from concurrent.futures import Future
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from ..engine_api.lookback import Lookback
from ..engine_api.report import FinishReason, TokenDelta, TokenLogprobs
from ..engine_api.request import GenerationRequest, ReuseMode
from ..kvcache import BlockMiss, KVBuffer
from .detokenizer import Detokenizer
from .kv_pool import Reservation
from .model.capture import Queries
from .model.effort import Effort
from .prepared import Prepared
from .sampling.processors import LogitsProcessor
from .sampling.sampler import Sampler
from .sampling.vetoes import BadWords, Veto

Event = TokenDelta | BaseException
"""What a turn says: a delta, or why it failed."""
Sink = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How a model's tokens become text, and which of them end a reply.

    `marks`: special tokens that part a reply into what is thought and what is said.
    """

    tokenizer: Tokenizer
    eos_token_ids: frozenset[int]
    marks: Mapping[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Timeline:
    """When things happened, on the clock of `time.perf_counter`."""

    arrived: float
    admitted: float = 0.0
    ready: float = 0.0
    first_token: float | None = None
    last_token: float = 0.0


@dataclass(slots=True)
class Prefilled:
    """The forward passes that its prompt took part in, whatever else they computed."""

    effort: Effort = field(default_factory=Effort)
    seconds: float = 0.0

    def add(self, effort: Effort, seconds: float) -> None:
        self.effort += effort
        self.seconds += seconds


@dataclass(slots=True)
class Prefix:
    """Where the state that a sequence began with came from."""

    tokens_by_tier: dict[str, int] = field(default_factory=dict)
    block_miss: BlockMiss | None = None
    restore_seconds: float | None = None
    """How long restoring was expected to take, where it was passed over for that."""
    block_size: int = 1
    """In how many tokens at a time the tiers keep state."""
    prepared: Prepared | None = None
    """What it is that was computed before the sequence was asked for, `ahead_tokens` of those it began with."""
    ahead_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        return sum(self.tokens_by_tier.values())


@dataclass(frozen=True, slots=True)
class Withheld:
    """What a turn did not use that is computed from scratch on purpose.

    `reuse_seconds`: expected for going on from it, `recompute_seconds`: for doing without.
    """

    num_tokens: int
    reuse_seconds: float | None
    recompute_seconds: float | None


class Sequence:
    """Prompt and output ids, the K/V of those computed so far, and what is owed to whoever asked."""

    def __init__(
        self,
        request: GenerationRequest,
        max_new_tokens: int,
        vocabulary: Vocabulary,
        sink: Sink,
        processors: Items[LogitsProcessor] = (),
    ) -> None:
        """`processors`: of its logits, beside those that its sampling parameters ask for."""
        self.request = request
        self.token_ids: list[int] = list(request.token_ids)
        self.num_shown = len(self.token_ids)
        """Leading tokens that a next turn goes on from: no half character, nothing of a stop string."""
        self.max_new_tokens = max_new_tokens
        self._sink = sink
        self.sampler = Sampler(
            request.sampling,
            request.token_ids,
            vocabulary.eos_token_ids,
            processors,
            _vetoes(request, vocabulary),
        )
        self.buffer: KVBuffer | None = None
        self.reservation = Reservation()
        self.queries = Queries(request.lookback.first) if request.lookback else None
        self.reuse_limit = request.lookback.first if request.lookback and request.recomputes_reply else None
        """The most tokens that a replay may take over, as a copy."""
        self.from_scratch = False
        """Whether what it could go on from is to be withheld."""
        self.withheld: Withheld | None = None
        self.lookback: Future[Lookback | None] | None = None
        """What the reply looked at, if it was asked for: made when the turn is over."""
        self.prefix = Prefix()
        self.prefilled = Prefilled()
        self.prompt_logprobs: list[TokenLogprobs] = []
        """Of the prompt's tokens but the first, as far as they are computed, if they were asked for."""
        self.first: Sequence | None = None
        """Another one that has the same prompt and computes it for this one too."""
        self.executors: dict[str, None] = {}
        """Who computed its steps, each once, in order."""
        self.num_drafted = self.num_accepted = 0
        """Tokens that were computed on trial, and those of them that were chosen."""
        self.restoring = False
        self.cancelled = False
        self.timeline = Timeline(now() - request.waited_seconds)
        self.last_scheduled = self.timeline.arrived
        self._detokenizer = Detokenizer(vocabulary.tokenizer, request.sampling.stop)
        self._marks = vocabulary.marks
        self._end_token_ids = vocabulary.eos_token_ids.union(request.sampling.stop_token_ids)

    @property
    def kv(self) -> KVBuffer:
        assert self.buffer is not None, "only an admitted sequence has K and V"
        return self.buffer

    @property
    def is_over(self) -> bool:
        return self._sink is _nobody

    @property
    def is_held_back(self) -> bool:
        """Whether its prompt is being computed; if nothing comes of that, it goes on alone."""
        return self.first is not None and self.first.timeline.first_token is None and not self.first.is_over

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.request.token_ids)

    @property
    def num_output_tokens(self) -> int:
        return len(self.token_ids) - self.num_prompt_tokens

    @property
    def num_left(self) -> int:
        """Output tokens that may still come."""
        return self.max_new_tokens - self.num_output_tokens

    @property
    def max_tokens(self) -> int:
        return self.num_prompt_tokens + self.max_new_tokens

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

    def tell(self, event: Event) -> None:
        """Say it to whoever asked."""
        self._sink(event)

    def end(self, event: Event) -> None:
        """Say the last word. Whoever asked also knows this sequence: as a cycle both would keep its memory."""
        self._sink(event)
        self._sink = _nobody

    def let_go(self) -> None:
        """What was worth keeping is kept: it has no state any more, however long somebody knows it."""
        self.buffer = None

    def prewarmed(self, now: float) -> None:
        """Its prompt is computed, and that is all that was asked for."""
        self.kv.length = self.num_prompt_tokens
        self.timeline.first_token = self.timeline.last_token = now

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
        mark = ""
        if token_id in self._end_token_ids:
            text, reason = self._detokenizer.finish(), "stop"
        else:
            may_stop = self.num_output_tokens > self.request.sampling.min_tokens
            text = self._detokenizer.add(token_id, may_stop=may_stop)
            if mark := self._marks.get(token_id, ""):
                text += self._detokenizer.finish()
            if self._detokenizer.settled:
                self.num_shown = len(self.token_ids)
            if self._detokenizer.stopped:
                reason = "stop"
            elif self.num_output_tokens >= self.max_new_tokens:
                text += self._detokenizer.finish()
                reason = "stop" if self._detokenizer.stopped else "length"
        if self.request.reuse is ReuseMode.NOTHING:
            self.kv.clear()
        told = self._of_prompt() if self.num_output_tokens == 1 else ()
        own = () if logprobs is None else (logprobs,)
        return TokenDelta(text, (token_id,), own, mark=mark, prompt_logprobs=told), reason

    def _of_prompt(self) -> tuple[TokenLogprobs, ...]:
        return tuple(self.prompt_logprobs or (self.first.prompt_logprobs if self.first else ()))


def _nobody(_: Event) -> None: ...


def _vetoes(request: GenerationRequest, vocabulary: Vocabulary) -> list[Veto]:
    words = request.sampling.bad_words
    return [BadWords(words, vocabulary.tokenizer)] if words else []


def now() -> float:
    return time.perf_counter()
