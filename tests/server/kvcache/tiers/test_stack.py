"""Several tiers as one: the fastest holder answers, and what is known about a block that nobody has is told."""

import math

from tests.server.kvcache.tiers.test_tiers import key, put
from tests.support.state import Tally, ram

from warmturn_server.engine_api import MissReason
from warmturn_server.kvcache import BlockMiss, GuardedTier, RamTier, TierUnavailable
from warmturn_server.kvcache.tiers.stack import TierStack
from warmturn_server.kvcache.tiers.tier import Medium

KEYS = [key(number) for number in range(4)]


def named(name: str, medium: Medium) -> RamTier:
    tier = ram(200)
    tier.name, tier.medium = name, medium
    return tier


def test_the_fastest_tier_that_has_a_block_holds_it_and_a_network_is_asked_only_where_that_is_said() -> None:
    tiers = named("ram", "memory"), named("disk", "disk"), named("redis", "network")
    put(tiers[0], 0)
    put(tiers[1], 0, 1)
    put(tiers[2], 1, 2)
    stack = TierStack(GuardedTier(tier, Tally()) for tier in tiers)
    assert [holder and holder.name for holder in stack.local_holders(KEYS)] == ["ram", "disk", None, None]
    assert [h and h.name for h in stack.holders(KEYS, lambda: math.inf)] == ["ram", "disk", "redis", None]
    assert [h and h.name for h in stack.holders(KEYS, lambda: 0.0)] == ["ram", "disk", None, None]
    stack.close()


def test_the_slowest_that_knows_what_became_of_a_block_is_named() -> None:
    fast, slow = named("ram", "memory"), named("disk", "disk")
    for tier in (fast, slow):
        put(tier, 0, 1, 2)
    guarded = [GuardedTier(tier, Tally()) for tier in (fast, slow)]
    stack = TierStack(guarded)
    assert stack.why_lost(key(7)) is stack.why_lost(None) is None
    assert stack.why_lost(key(0)) == BlockMiss(MissReason.EVICTED, key(0), "disk")
    guarded[0].switch_off(TierUnavailable("pulled out"))
    assert stack.why_lost(key(0)) == BlockMiss(MissReason.STORE_UNAVAILABLE, key(0), "ram")
