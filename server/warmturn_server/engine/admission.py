"""Lets a waiting sequence in: finds the state it can begin with and the memory it needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..engine_api import MissReason
from ..engine_api.request import GenerationRequest, ReuseMode
from ..errors import ContextLengthExceeded
from ..kvcache import Deadline, KVBuffer, PrefixCache, PrefixMatch, reusable_tokens
from .kv_pool import IdleBuffer, KVPool, Reservation, TokenArray, common_prefix
from .model.cost_model import CostModel
from .prepared import Prepared
from .sequence import Prefix, Sequence, Withheld

RESIDENT = "resident"
UNASKED_OUTPUT_TOKENS = 4096
"""Planned for a request without a limit: its memory is reserved, so it must not be a large model's whole context."""
_WORTH_ASKING_SECONDS = 0.002
"""Computing for less time than this is over before another machine has answered."""


@dataclass(frozen=True, slots=True)
class Source:
    """The longest prefix that is in memory now: an idle buffer, or a running sequence's."""

    num_tokens: int = 0
    idle: IdleBuffer | None = None
    buffer: KVBuffer | None = None

    @property
    def prepared(self) -> Prepared | None:
        return self.idle.prepared if self.idle else None

    @property
    def ahead_tokens(self) -> int:
        """Those that were computed for nobody, so far."""
        return max(self.num_tokens - self.prepared.found_tokens, 0) if self.prepared else 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What an admitted sequence should bring back: a match on this machine, and more over the network if `deadline`.

    At most its first `num_tokens` in all.
    """

    match: PrefixMatch
    deadline: Deadline | None
    num_tokens: int

    def __bool__(self) -> bool:
        return bool(self.match.spans) or self.deadline is not None

    @property
    def most_tokens(self) -> int:
        """So long the sequence's state may be when all is back."""
        return self.match.num_tokens if self.deadline is None else self.num_tokens


class Admission:
    """Decides what a sequence starts from and takes its memory from the pool."""

    def __init__(self, context_length: int, cache: PrefixCache, pool: KVPool, cost_model: CostModel) -> None:
        self._context_length = context_length
        self._cache = cache
        self._pool = pool
        self._cost_model = cost_model

    @property
    def max_tokens(self) -> int:
        """The longest sequence that context and K/V budget allow."""
        return min(self._context_length, self._pool.max_tokens)

    def max_new_tokens(self, request: GenerationRequest) -> int:
        """How many output tokens to plan for; raises `ContextLengthExceeded` when that can never fit."""
        prompt, asked, limit = len(request.token_ids), request.sampling.max_tokens, self.max_tokens
        if prompt + (asked or 1) > limit:
            why = "the model's context" if limit == self._context_length else "the K/V memory (--kv-memory)"
            raise ContextLengthExceeded(
                f"{prompt} prompt tokens and {asked or 1} output tokens exceed {limit} tokens, the limit of {why}; "
                "shorten the conversation or ask for fewer output tokens"
            )
        return min(limit - prompt, UNASKED_OUTPUT_TOKENS) if asked is None else asked

    def admit(self, sequence: Sequence, running: Iterable[Sequence]) -> Plan | None:
        """Give the sequence a buffer that holds what is in memory; returns what is worth restoring after that.

        None when there is no memory for it now.
        """
        prefix = sequence.request.token_ids[: _reusable(sequence)]
        source, match = self._find(sequence, prefix, running)
        if sequence.from_scratch and (source.num_tokens or match.num_tokens):
            sequence.withheld = self._withhold(sequence, source, match)
            source, match = Source(), PrefixMatch()
        reservation, source = self._reserve(sequence, source)
        if reservation is None:
            return None
        try:
            sequence.buffer = self._begin(source, sequence)
        except Exception:
            reservation.release()
            raise
        sequence.reservation = reservation
        tokens_by_tier = {RESIDENT: source.num_tokens} | {tier.name: 0 for tier in self._cache.tiers}
        sequence.prefix = Prefix(
            tokens_by_tier,
            block_size=self._cache.block_size,
            prepared=source.prepared if source.ahead_tokens else None,
            ahead_tokens=source.ahead_tokens,
        )
        worthwhile = self._worthwhile(sequence, match, len(prefix))
        covered = max(sequence.kv.length, worthwhile.num_tokens)
        return Plan(worthwhile, self._deadline(sequence, covered, len(prefix)), len(prefix))

    def fits(self, sequence: Sequence) -> bool:
        """Whether nothing has to go for it."""
        return self._pool.fits(self._pool.bytes_for(sequence.max_tokens))

    def _find(
        self, sequence: Sequence, prefix: tuple[int, ...], running: Iterable[Sequence]
    ) -> tuple[Source, PrefixMatch]:
        """What there is of the prefix in memory, and in the tiers of this machine."""
        request = sequence.request
        if shared := _computed_for_both(sequence, len(prefix)):
            return shared, PrefixMatch()
        if request.reuse is not ReuseMode.STATE:
            return Source(), PrefixMatch()
        in_memory = self._in_memory(request.tenant, np.asarray(prefix, dtype=np.int64), running)
        return in_memory, self._cache.match(request.tenant, prefix)

    def _withhold(self, sequence: Sequence, source: Source, match: PrefixMatch) -> Withheld:
        prompt, num_tokens = sequence.num_prompt_tokens, max(source.num_tokens, match.num_tokens)
        rest = self._cost_model.seconds(prompt - num_tokens, num_tokens)
        restore = self._cache.policy.restore_seconds(match.beyond(source.num_tokens))
        return Withheld(num_tokens, None if rest is None else restore + rest, self._cost_model.seconds(prompt))

    def _reserve(self, sequence: Sequence, source: Source) -> tuple[Reservation | None, Source]:
        """Memory for all that it may ever need; where that leaves no room for the source, it begins from nothing."""
        num_bytes = self._pool.bytes_for(sequence.max_tokens)
        reservation = self._pool.reserve(num_bytes, keep=source.idle, takes=_taken_over(source, sequence))
        if reservation is not None:
            return reservation, source
        return self._pool.reserve(num_bytes), Source()

    def _in_memory(self, tenant: str, ids: TokenArray, running: Iterable[Sequence]) -> Source:
        idle, longest = self._pool.best(tenant, ids)
        best = Source(idle.buffer.restore_points(longest), idle, idle.buffer) if idle else Source()
        for other in running:
            request = other.request
            usable = not (other.restoring or request.recomputes_reply)
            if request.tenant == tenant and request.reuse is ReuseMode.STATE and usable:
                computed = np.asarray(other.token_ids[: other.kv.length], dtype=np.int64)
                if (common := other.kv.restore_points(common_prefix(computed, ids))) > best.num_tokens:
                    best = Source(common, None, other.kv)
        return best

    def _begin(self, source: Source, sequence: Sequence) -> KVBuffer:
        """The idle buffer itself if the sequence only goes on from it, else a copy of the common part."""
        if source.idle is not None:
            self._pool.used(source.idle)
        if (taken_over := _taken_over(source, sequence)) is not None:
            buffer = self._pool.take(taken_over)
            buffer.length = source.num_tokens
        else:
            buffer = self._pool.buffer()
            if source.buffer is not None:
                buffer.reserve(sequence.num_prompt_tokens + 1, limit=sequence.max_tokens)
                buffer.copy_prefix(source.buffer, source.num_tokens)
        buffer.reserve(sequence.num_prompt_tokens + 1, limit=sequence.max_tokens)
        return buffer

    def _worthwhile(self, sequence: Sequence, match: PrefixMatch, most: int) -> PrefixMatch:
        """The part of the match to restore; notes on the sequence why reuse ends where it does."""
        have = sequence.kv.length
        if max(have, match.num_tokens) < most and sequence.request.reuse is ReuseMode.STATE:
            sequence.prefix.block_miss = self._cache.why_missing(match.stopped_by)
        beyond = match.beyond(have)
        if beyond.num_tokens <= have:
            return PrefixMatch()
        verdict = self._cache.policy.worth_it(beyond, have, self._cost_model.seconds)
        if verdict.refusal:
            self._cache.policy.passed_over(beyond)
            sequence.prefix.block_miss, sequence.prefix.restore_seconds = verdict.refusal, verdict.expected_seconds
            return PrefixMatch()
        return beyond

    def _deadline(self, sequence: Sequence, covered: int, most: int) -> Deadline | None:
        """How long to wait for other machines; None if there is nothing to expect from them."""
        request, block_miss = sequence.request, sequence.prefix.block_miss
        if request.reuse is not ReuseMode.STATE or sequence.withheld:
            return None
        if not any(tier.available for tier in self._cache.tiers.remote):
            return None
        if covered >= most or (block_miss and block_miss.reason is MissReason.RECOMPUTE_FASTER):
            return None
        if covered < min(request.known_tokens, most) or (not request.known_tokens and self._slow(covered, most)):
            return self._cache.policy.deadline(sequence.kv.length, self._cost_model.seconds)
        return None

    def _slow(self, covered: int, most: int) -> bool:
        compute = self._cost_model.seconds(most - covered, covered)
        return compute is None or compute > _WORTH_ASKING_SECONDS


def _reusable(sequence: Sequence) -> int:
    most = reusable_tokens(sequence.num_prompt_tokens)
    return most if sequence.reuse_limit is None else min(most, sequence.reuse_limit)


def _computed_for_both(sequence: Sequence, most: int) -> Source | None:
    """The prompt as the first of several choices has just computed it, in whatever mode: there it is one prefill."""
    first = sequence.first
    if first is None or first.buffer is None or not first.kv.length:
        return None
    return Source(first.kv.restore_points(min(first.kv.length, most)), None, first.kv)


def _taken_over(source: Source, sequence: Sequence) -> IdleBuffer | None:
    """The idle buffer that the sequence goes on with itself; a replay leaves all of them as they are.

    Truncating a buffer that is still being saved would tear its blocks, so only whole ones are taken over, and what
    was prepared for this very turn: that is not saved.
    """
    if prepared := source.prepared:
        return source.idle if prepared.request.follows == sequence.request.follows else None
    continues = source.idle is not None and source.num_tokens == len(source.idle.token_ids)
    return source.idle if continues and sequence.reuse_limit is None else None
