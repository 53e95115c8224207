"""Whether to bring saved state back or to compute it: what is expected, learned from every restore."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from ..engine_api.report import MissReason
from .bandwidth import Bandwidth
from .match import PrefixMatch
from .miss import BlockMiss
from .state import StateLayout

WAIT_SECONDS = 0.075
"""How much later than by recomputing a turn may be answered because a tier over the network lets it wait."""
_LOOKUP_SHARE = 2 / 3

PrefillSeconds = Callable[[int, int], float | None]
"""Expected time to compute so many tokens after so many others."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long a turn may still wait: no longer than `wait_seconds` more than computing what it got would have taken.

    So whatever a store does, the turn is late by `wait_seconds` at most. A look-up alone gets `lookup_seconds`.
    """

    start: int
    wait_seconds: float
    lookup_seconds: float
    compute_seconds: PrefillSeconds
    began: float = field(default_factory=time.perf_counter)

    def left(self, length: int) -> float:
        """Seconds that are left when tokens `[start, length)` are here."""
        computed = self.compute_seconds(length - self.start, self.start) or 0.0
        return self.began + computed + self.wait_seconds - time.perf_counter()

    def left_for_lookup(self, length: int) -> float:
        return min(self.left(length), self.lookup_seconds)


NO_DEADLINE: Final = Deadline(0, math.inf, math.inf, lambda *_: None)


@dataclass(frozen=True, slots=True)
class RestoreVerdict:
    """How long restoring is expected to take; `refusal` says of what is slower to restore than to compute so much."""

    expected_seconds: float
    refusal: BlockMiss | None = None


class RestorePolicy:
    """Asked before a restore, and told what became of it. To ask changes nothing."""

    def __init__(self, layout: StateLayout, tiers: Iterable[str], wait_seconds: float = WAIT_SECONDS) -> None:
        self.bandwidth = {name: Bandwidth() for name in tiers}
        self._layout = layout
        self._wait_seconds = wait_seconds

    def restore_seconds(self, match: PrefixMatch) -> float:
        """How long bringing the match back is expected to take."""
        tokens, bytes_for = match.tokens_by_tier, self._layout.bytes_for
        return sum(self.bandwidth[name].seconds(bytes_for(count)) for name, count in tokens.items())

    def worth_it(self, match: PrefixMatch, num_tokens: int, compute_seconds: PrefillSeconds) -> RestoreVerdict:
        """Whether a turn that has `num_tokens` should bring the match back. Who leaves it alone says `passed_over`."""
        expected = self.restore_seconds(match)
        compute = compute_seconds(match.num_tokens - num_tokens, num_tokens) if match.spans else None
        if compute is None or expected <= compute:
            return RestoreVerdict(expected)
        return RestoreVerdict(expected, BlockMiss(MissReason.RECOMPUTE_FASTER, match.spans[0].key, match.tiers[0].name))

    def deadline(self, num_tokens: int, compute_seconds: PrefillSeconds) -> Deadline:
        """How long a turn that has `num_tokens` now may wait for more; the clock runs."""
        return Deadline(num_tokens, self._wait_seconds, _LOOKUP_SHARE * self._wait_seconds, compute_seconds)

    def passed_over(self, match: PrefixMatch) -> None:
        """A turn left the match alone as too slow: that is believed a little less from now on."""
        for name in match.tokens_by_tier:
            self.bandwidth[name].doubt()

    def restored(self, tier: str, num_tokens: int, seconds: float) -> None:
        """So many tokens came back in this time."""
        self.bandwidth[tier].observe(self._layout.bytes_for(num_tokens), seconds)

    def cut_off(self, tier: str, num_tokens: int, compute_seconds: float) -> None:
        """A restore of so many tokens was given up because computing them was faster."""
        self.bandwidth[tier].cut_off(self._layout.bytes_for(num_tokens), compute_seconds)
