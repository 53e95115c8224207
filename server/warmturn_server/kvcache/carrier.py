"""Takes a conversation's saved state out of the tiers, and into them, block by block."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import accumulate

from ..engine_api.report import MissReason
from .codec import CorruptBlock, ForeignBlock
from .keys import BlockKey, BlockSpan, blocks_of, chain_seed
from .match import PrefixMatch
from .prefix_cache import PrefixCache
from .tiers.guard import GuardedTier

_HELD_SECONDS = 600.0
"""So long blocks wait for the rest of what they came with."""


class Carrier:
    """`await_saved` returns when what finished turns left is in the tiers. All of this waits for disk and network."""

    def __init__(self, cache: PrefixCache, await_saved: Callable[[], None]) -> None:
        self._cache = cache
        self._await_saved = await_saved

    @property
    def fingerprint(self) -> str:
        return self._cache.fingerprint.hex()

    def leaving(self, tenant: str, token_ids: Sequence[int]) -> Leaving:
        self._await_saved()
        return Leaving(self._cache, self._cache.match_everywhere(tenant, token_ids), token_ids)

    def arriving(self, tenant: str, token_ids: Sequence[int], lengths: Sequence[int]) -> Arriving | None:
        brought = token_ids[: sum(lengths)]
        spans = blocks_of(chain_seed(tenant, self._cache.fingerprint), brought, self._cache.block_size)
        fits = [span.num_tokens for span in spans] == list(lengths)
        return Arriving(self._cache, tenant, token_ids, spans) if fits else None

    def decline(self, tenant: str, token_ids: Sequence[int], at_token: int, reason: MissReason) -> None:
        spans = blocks_of(chain_seed(tenant, self._cache.fingerprint), token_ids, self._cache.block_size)
        for span in spans:
            if span.stop > at_token:
                self._cache.decline(span.key, reason)
                return


class Leaving:
    """Blocks that the tiers claimed to hold when they were asked."""

    def __init__(self, cache: PrefixCache, match: PrefixMatch, token_ids: Sequence[int]) -> None:
        self._cache = cache
        self._match = match
        self._token_ids = token_ids

    @property
    def lengths(self) -> Sequence[int]:
        return [span.num_tokens for span in self._match.spans]

    def read(self, number: int) -> bytes | None:
        span, tier = self._match.spans[number], self._match.tiers[number]
        sealed = tier.get_many([span.key]).get(span.key)
        if sealed is None:
            return None
        try:
            own_ids = self._token_ids[span.start : span.stop]
            return bytes(self._cache.codec.opened(memoryview(sealed), span, own_ids))
        except CorruptBlock:
            self._cache.tiers.discard(tier, span.key)
            return None


class Arriving:
    """Into the tiers that last; into memory where there are no others, and never more than half of it.

    What was not here before is on the list of what may only stay for a while, from before it is written: so a server
    that comes after a kill removes it, too.
    """

    def __init__(self, cache: PrefixCache, tenant: str, token_ids: Sequence[int], spans: Sequence[BlockSpan]) -> None:
        self._cache = cache
        self._tenant = tenant
        self._token_ids = token_ids
        self._spans = spans
        lasting = [tier for tier in cache.tiers if tier.medium != "memory"]
        self._tiers: Sequence[GuardedTier] = lasting or [*cache.tiers]
        self._fitting = {tier: self._num_fitting(tier) for tier in self._tiers}
        self._wanted = spans[: max(self._fitting.values(), default=0)]
        self._brought = set[BlockKey]()
        self._hold_on_at = time.monotonic() + _HELD_SECONDS / 4

    def lacking(self) -> Sequence[int]:
        if self._is_distrusted:
            return []
        self._hold(self._spans, new=False)
        keys = [span.key for span in self._wanted]
        held = self._cache.tiers.holders(keys, lambda: math.inf)
        return [number for number, tier in enumerate(held) if tier is None]

    def take(self, number: int, block: bytes) -> MissReason | None:
        span = self._spans[number]
        try:
            own_ids = self._token_ids[span.start : span.stop]
            adopted = self._cache.codec.adopted(memoryview(block), span, own_ids)
        except CorruptBlock as error:
            return MissReason.FINGERPRINT if isinstance(error, ForeignBlock) else MissReason.CORRUPT
        if self._is_wanted(number):
            self._hold([span], new=True)
            self._brought.add(span.key)
            for tier, num_fitting in self._fitting.items():
                if number < num_fitting:
                    tier.put_many({span.key: adopted})
        self._hold_on()
        return None

    def settle(self) -> int:
        keys = [span.key for span in self._spans]
        found = self._cache.match_everywhere(self._tenant, self._token_ids[: self._spans[-1].stop])
        taken = keys[: len(found.spans)]
        self._cache.passing.saved(taken, (), lasting=True)
        self._cache.came(taken)
        for tier in self._tiers:
            tier.used(taken)
        self._remove_what_passes()
        return found.num_tokens

    def abandon(self) -> None:
        self._remove_what_passes()

    @property
    def _is_distrusted(self) -> bool:
        return self._cache.is_distrusted(self._tenant, self._token_ids)

    def _is_wanted(self, number: int) -> bool:
        if number >= len(self._wanted) or self._is_distrusted:
            return False
        (held,) = self._cache.tiers.holders([self._spans[number].key], lambda: math.inf)
        return held is None

    def _hold(self, spans: Sequence[BlockSpan], *, new: bool) -> None:
        keys = [span.key for span in spans]
        self._cache.passing.saved(keys, keys if new else (), lasting=False, ttl_seconds=_HELD_SECONDS)

    def _hold_on(self) -> None:
        """The first blocks must still be there when the last ones come, however long that takes."""
        if time.monotonic() >= self._hold_on_at:
            self._hold_on_at = time.monotonic() + _HELD_SECONDS / 4
            self._hold(self._spans, new=False)

    def _remove_what_passes(self) -> None:
        """Of what came with this, and only that: others may have left the same, or have had it promised meanwhile."""
        promised = self._cache.promises.kept(self._brought)
        keys = self._cache.passing.of(self._brought - promised)
        self._cache.tiers.remove(keys, list(self._cache.tiers))
        self._cache.passing.removed(keys)

    def _num_fitting(self, tier: GuardedTier) -> int:
        """How many, from the first on, take at most half of it, nor push each other out where much is promised."""
        room = math.inf
        if tier.budget_bytes is not None:
            room = min(tier.budget_bytes / 2, tier.budget_bytes - self._promised_bytes(tier))
        sizes = accumulate(self._cache.codec.num_bytes(span.num_tokens) for span in self._spans)
        return sum(size <= room for size in sizes)

    def _promised_bytes(self, tier: GuardedTier) -> int:
        """Of others, on the disk, which alone keeps promises."""
        own = {span.key for span in self._spans}
        return self._cache.promises.bytes_besides(own) if tier.medium == "disk" else 0
