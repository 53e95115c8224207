"""What a look-up finds, and what a restore brings of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .gap import Gap, MissReason
from .guard import GuardedTier
from .keys import BlockKey, BlockSpan


@dataclass(frozen=True, slots=True)
class PrefixMatch:
    """The blocks, in order and without a gap, that some tier claims to hold; `stopped_by` is the first one missing."""

    spans: tuple[BlockSpan, ...] = ()
    tiers: tuple[GuardedTier, ...] = ()
    stopped_by: BlockKey | None = None

    @property
    def num_tokens(self) -> int:
        return self.spans[-1].stop if self.spans else 0

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
    gap: Gap | None = None
    expected_seconds: float | None = None
    """How long restoring was expected to take, where it was passed over for that."""

    @property
    def reason(self) -> MissReason | None:
        return self.gap.reason if self.gap else None

    def add(self, tier: str, num_tokens: int, seconds: float) -> None:
        self.tokens_by_tier[tier] = self.tokens_by_tier.get(tier, 0) + num_tokens
        self.seconds_by_tier[tier] = self.seconds_by_tier.get(tier, 0.0) + seconds

    def followed_by(self, later: Restored) -> Restored:
        """Both together; the gap is the one where it really ended."""
        brought_more = any(later.tokens_by_tier.values())
        gap = later.gap if brought_more or self.gap is None else self.gap
        total = Restored(dict(self.tokens_by_tier), dict(self.seconds_by_tier), gap, later.expected_seconds)
        for tier, num_tokens in later.tokens_by_tier.items():
            total.add(tier, num_tokens, later.seconds_by_tier[tier])
        return total
