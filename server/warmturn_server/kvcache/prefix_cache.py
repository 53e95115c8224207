"""Finds, brings back and keeps the saved state of token prefixes, over all tiers, nearest first."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .bandwidth import Bandwidth
from .buffer import KVBuffer, KVSnapshot
from .codec import BlockCodec, CorruptBlock, ForeignBlock
from .fingerprint import FingerprintDigest
from .gap import Gap, MissReason
from .guard import GuardedTier
from .keys import BlockKey, BlockSpan, blocks_of, chain_seed, full_blocks, partial_blocks
from .tier import Block

_BLOCKS_AT_A_TIME = 16


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


@dataclass(slots=True)
class Restored:
    """What a restore really brought: tokens by tier, and why it ended before the match did."""

    tokens_by_tier: dict[str, int] = field(default_factory=dict)
    seconds_by_tier: dict[str, float] = field(default_factory=dict)
    gap: Gap | None = None

    @property
    def reason(self) -> MissReason | None:
        return self.gap.reason if self.gap else None


class PrefixCache:
    """Saved state by token prefix. A cache may be slow or absent, never wrong: whatever is doubtful is a miss."""

    def __init__(
        self, codec: BlockCodec, block_size: int, tiers: Sequence[GuardedTier], *, foreign_blocks: bool = False
    ) -> None:
        self.fingerprint: FingerprintDigest = codec.fingerprint
        self.block_size = block_size
        self.tiers = tuple(tiers)
        self.bandwidth = {tier.name: Bandwidth() for tier in tiers}
        self._codec = codec
        self._foreign_blocks = foreign_blocks
        self._moving = threading.Lock()

    def match(self, tenant: str, token_ids: Sequence[int]) -> PrefixMatch:
        """The longest saved prefix of `token_ids`: whole blocks, then the partial one a turn may have ended with."""
        whole = list(full_blocks(chain_seed(tenant, self.fingerprint), token_ids, self.block_size))
        held = self._held_by([span.key for span in whole])
        spans = [span for span, tier in zip(whole, held, strict=True) if tier is not None]
        count = held.index(None) if None in held else len(held)
        spans, tiers = whole[:count], [tier for tier in held[:count] if tier is not None]
        stopped_by = whole[count].key if count < len(whole) else None
        start, previous = (spans[-1].stop, spans[-1].key) if spans else (0, chain_seed(tenant, self.fingerprint))
        partial = list(partial_blocks(previous, token_ids, start, self.block_size))
        for span, tier in zip(partial, self._held_by([span.key for span in partial]), strict=True):
            if tier is not None:
                return PrefixMatch((*spans, span), (*tiers, tier), stopped_by)
        if stopped_by is None and partial:
            stopped_by = partial[0].key
        return PrefixMatch(tuple(spans), tuple(tiers), stopped_by)

    def restore_seconds(self, match: PrefixMatch) -> float:
        """How long bringing the match back is expected to take."""
        return sum(self.bandwidth[name].seconds(num_bytes) for name, num_bytes in self._bytes_by_tier(match).items())

    def passed_over(self, match: PrefixMatch) -> None:
        """The match was not restored, for the time that it was expected to take."""
        for name in self._bytes_by_tier(match):
            self.bandwidth[name].doubt()

    def restore(self, match: PrefixMatch, token_ids: Sequence[int], buffer: KVBuffer) -> Restored:
        """Append the match to `buffer`, block by block, up to the first one that is not what it should be.

        `buffer` holds a prefix of the same tokens, and every span of the match reaches beyond it.
        """
        restored = Restored()
        for tier, spans in _runs(match):
            began = time.perf_counter()
            before = buffer.length
            restored.gap = self._restore_run(tier, spans, token_ids, buffer)
            seconds = time.perf_counter() - began
            tokens = buffer.length - before
            restored.tokens_by_tier[tier.name] = restored.tokens_by_tier.get(tier.name, 0) + tokens
            restored.seconds_by_tier[tier.name] = restored.seconds_by_tier.get(tier.name, 0.0) + seconds
            self.bandwidth[tier.name].observe(tokens * self._codec.bytes_per_token, seconds)
            if restored.gap is not None:
                break
        return restored

    def why_missing(self, key: BlockKey | None) -> Gap:
        """The most that is known about a block that no tier has; of several tiers the farthest is named."""
        for tier in reversed(self.tiers):
            if not tier.available:
                return Gap(MissReason.STORE_UNAVAILABLE, key, tier.name)
        for tier in reversed(self.tiers):
            if key is not None and tier.evicted(key):
                return Gap(MissReason.EVICTED, key, tier.name)
        return Gap(MissReason.FINGERPRINT if self._foreign_blocks else MissReason.NOT_FOUND, key)

    def save(self, tenant: str, token_ids: Sequence[int], snapshot: KVSnapshot, keep_on: Callable[[], bool]) -> int:
        """Put the blocks of `token_ids` that a tier lacks into it; returns the bytes written.

        The chain's head goes in last, so that it is the last to be evicted: a tail is of no use without it.
        """
        spans = blocks_of(chain_seed(tenant, self.fingerprint), token_ids, self.block_size)
        keys = [span.key for span in spans]
        held = [tier.contains(keys) for tier in self.tiers]
        written = 0
        for index in reversed(range(len(spans))):
            lacking = [tier for tier, has in zip(self.tiers, held, strict=True) if not has[index]]
            if not lacking:
                continue
            if not keep_on():
                break
            span = spans[index]
            block = self._codec.encode(span, token_ids[span.start : span.stop], snapshot)
            for tier in lacking:
                tier.put_many({span.key: block})
                written += len(block)
        return written

    def promote(self, match: PrefixMatch, token_ids: Sequence[int], keep_on: Callable[[], bool]) -> Counter[str]:
        """Copy what only farther tiers hold into the nearer ones; returns the tokens brought, by where they came from.

        Checked as a restore checks it. At most half of the nearest tier is spent on it, and the chain's head goes in
        last, so that it is the last to be evicted. `keep_on` is asked before each piece.
        """
        brought: Counter[str] = Counter()
        for tier, spans in reversed(list(_runs(self._at_most_half(match)))):
            for stop in range(len(spans) if tier is not self.tiers[0] else 0, 0, -_BLOCKS_AT_A_TIME):
                if not keep_on():
                    return brought
                brought[tier.name] += self._bring(tier, spans[max(stop - _BLOCKS_AT_A_TIME, 0) : stop], token_ids)
        return brought

    def forget(self, tenant: str, token_ids: Sequence[int], keep_tokens: int = 0) -> None:
        """Remove every block of this chain from every tier, partial ones of earlier turns included.

        Blocks that hold only some of the first `keep_tokens` stay: other conversations go on from them.
        """
        seed = chain_seed(tenant, self.fingerprint)
        spans = list[BlockSpan]()
        previous, start = seed, 0
        for span in [*full_blocks(seed, token_ids, self.block_size), None]:
            spans += partial_blocks(previous, token_ids, start, self.block_size)
            if span is not None:
                spans.append(span)
                previous, start = span.key, span.stop
        keys = [span.key for span in spans if span.stop > keep_tokens]
        with self._moving:
            for tier in self.tiers:
                tier.remove_many(keys)

    def _at_most_half(self, match: PrefixMatch) -> PrefixMatch:
        limit = self.tiers[0].budget_bytes // 2 if self.tiers else 0
        count = sum(span.stop * self._codec.bytes_per_token <= limit for span in match.spans)
        return PrefixMatch(match.spans[:count], match.tiers[:count])

    def _bring(self, tier: GuardedTier, spans: Sequence[BlockSpan], token_ids: Sequence[int]) -> int:
        """Not while something is forgotten, or what was just deleted could come back to a nearer tier."""
        with self._moving:
            found = tier.get_many([span.key for span in spans])
            held = [span for span in spans if span.key in found]
            sound = [span for span in held if self._is_sound(tier, span, found[span.key], token_ids)]
            self._promote(tier, {span.key: found[span.key] for span in sound})
        return sum(span.num_tokens for span in sound)

    def _is_sound(self, tier: GuardedTier, span: BlockSpan, block: Block, token_ids: Sequence[int]) -> bool:
        try:
            self._codec.decode(memoryview(block), span, token_ids[span.start : span.stop])
        except CorruptBlock:
            tier.remove_many([span.key])
            return False
        return True

    def _bytes_by_tier(self, match: PrefixMatch) -> Counter[str]:
        num_bytes: Counter[str] = Counter()
        for span, tier in zip(match.spans, match.tiers, strict=True):
            num_bytes[tier.name] += span.num_tokens * self._codec.bytes_per_token
        return num_bytes

    def _held_by(self, keys: Sequence[BlockKey]) -> list[GuardedTier | None]:
        held: list[GuardedTier | None] = [None] * len(keys)
        for tier in reversed(self.tiers):
            held = [tier if has else other for has, other in zip(tier.contains(keys), held, strict=True)]
        return held

    def _restore_run(
        self, tier: GuardedTier, spans: Sequence[BlockSpan], token_ids: Sequence[int], buffer: KVBuffer
    ) -> Gap | None:
        for first in range(0, len(spans), _BLOCKS_AT_A_TIME):
            some = spans[first : first + _BLOCKS_AT_A_TIME]
            found = tier.get_many([span.key for span in some])
            good: dict[BlockKey, Block] = {}
            for span in some:
                if span.key not in found:
                    return self.why_missing(span.key)
                try:
                    ids = token_ids[span.start : span.stop]
                    payload = self._codec.decode(memoryview(found[span.key]), span, ids)
                except CorruptBlock as error:
                    tier.remove_many([span.key])
                    reason = MissReason.FINGERPRINT if isinstance(error, ForeignBlock) else MissReason.CORRUPT
                    return Gap(reason, span.key, tier.name)
                buffer.write(span.start, span.num_tokens, payload)
                buffer.length = span.stop
                good[span.key] = found[span.key]
            self._promote(tier, good)
        return None

    def _promote(self, tier: GuardedTier, blocks: dict[BlockKey, Block]) -> None:
        """What was brought from afar stays near for the next turn."""
        for nearer in self.tiers[: self.tiers.index(tier)]:
            nearer.put_many(dict(reversed(blocks.items())))


def _runs(match: PrefixMatch) -> Iterator[tuple[GuardedTier, list[BlockSpan]]]:
    """Stretches of the match that one tier holds."""
    run: list[BlockSpan] = []
    for span, tier, following in zip(match.spans, match.tiers, [*match.tiers[1:], None], strict=False):
        run.append(span)
        if tier is not following:
            yield tier, run
            run = []
