"""What a look-up finds, and what a restore brings of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ..engine_api.report import MissReason
from .keys import BlockKey, BlockSpan, full_blocks, partial_blocks
from .miss import BlockMiss
from .tiers.guard import GuardedTier

Holders = Callable[[Sequence[BlockKey]], "list[GuardedTier | None]"]
"""For each key the fastest tier that has it."""


@dataclass(frozen=True, slots=True)
class PrefixMatch:
    """The blocks, in order and without a gap, that some tier claims to hold; `stopped_by` is the first one missing."""

    spans: tuple[BlockSpan, ...] = ()
    tiers: tuple[GuardedTier, ...] = ()
    stopped_by: BlockKey | None = None

    @property
    def num_tokens(self) -> int:
        return self.spans[-1].stop if self.spans else 0

    @property
    def tokens_by_tier(self) -> Counter[str]:
        tokens: Counter[str] = Counter()
        for span, tier in zip(self.spans, self.tiers, strict=True):
            tokens[tier.name] += span.num_tokens
        return tokens

    def beyond(self, num_tokens: int) -> PrefixMatch:
        """The part of the match that holds more than the first `num_tokens`."""
        first = sum(span.stop <= num_tokens for span in self.spans)
        return PrefixMatch(self.spans[first:], self.tiers[first:], self.stopped_by)

    def runs(self) -> Iterator[tuple[GuardedTier, list[BlockSpan]]]:
        """Stretches of the match that one tier holds."""
        run: list[BlockSpan] = []
        for span, tier, following in zip(self.spans, self.tiers, [*self.tiers[1:], None], strict=False):
            run.append(span)
            if tier is not following:
                yield tier, run
                run = []


@dataclass(slots=True)
class Restored:
    """What a restore really brought: tokens by tier, and why it ended before the match did."""

    tokens_by_tier: dict[str, int] = field(default_factory=dict)
    seconds_by_tier: dict[str, float] = field(default_factory=dict)
    block_miss: BlockMiss | None = None
    expected_seconds: float | None = None
    """How long restoring was expected to take, where it was passed over for that."""

    @property
    def reason(self) -> MissReason | None:
        return self.block_miss.reason if self.block_miss else None

    def add(self, tier: str, num_tokens: int, seconds: float) -> None:
        self.tokens_by_tier[tier] = self.tokens_by_tier.get(tier, 0) + num_tokens
        self.seconds_by_tier[tier] = self.seconds_by_tier.get(tier, 0.0) + seconds

    def give_back(self, num_tokens: int) -> None:
        """The last so many tokens turned out to be of no use."""
        for tier, brought in reversed(list(self.tokens_by_tier.items())):
            given = min(brought, num_tokens)
            self.tokens_by_tier[tier] -= given
            num_tokens -= given

    def followed_by(self, later: Restored) -> Restored:
        """Both together; the miss is the one where it really ended."""
        brought_more = any(later.tokens_by_tier.values())
        block_miss = later.block_miss if brought_more or self.block_miss is None else self.block_miss
        total = Restored(dict(self.tokens_by_tier), dict(self.seconds_by_tier), block_miss, later.expected_seconds)
        for tier, num_tokens in later.tokens_by_tier.items():
            total.add(tier, num_tokens, later.seconds_by_tier[tier])
        return total


def find_prefix(seed: BlockKey, token_ids: Sequence[int], block_size: int, holders: Holders) -> PrefixMatch:
    """The longest saved prefix: whole blocks, then the partial one that a turn may have ended with."""
    whole = list(full_blocks(seed, token_ids, block_size))
    held = holders([span.key for span in whole])
    count = held.index(None) if None in held else len(held)
    spans, tiers = whole[:count], [tier for tier in held[:count] if tier is not None]
    stopped_by = whole[count].key if count < len(whole) else None
    start, previous = (spans[-1].stop, spans[-1].key) if spans else (0, seed)
    partial = list(partial_blocks(previous, token_ids, start, block_size))
    for span, tier in zip(partial, holders([span.key for span in partial]), strict=True):
        if tier is not None:
            return PrefixMatch((*spans, span), (*tiers, tier), stopped_by)
    if stopped_by is None and partial:
        stopped_by = partial[0].key
    return PrefixMatch(tuple(spans), tuple(tiers), stopped_by)
