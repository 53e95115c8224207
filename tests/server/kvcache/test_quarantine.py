"""What gave wrong answers is neither read nor written again, until it was computed anew."""

from collections.abc import Mapping
from pathlib import Path

from tests.support.device import DEVICE
from tests.support.state import (
    BLOCK_SIZE,
    LAYOUT,
    always,
    cache_over,
    contents,
    disk,
    filled_buffer,
    ram,
    token_ids,
)

from warmturn_server.engine_api import MissReason
from warmturn_server.kvcache import Block, BlockKey, KVBuffer, PrefixCache, RamTier, TierFull

COUNT = 5 * BLOCK_SIZE + 1


def restored(cache: PrefixCache, ids: tuple[int, ...]) -> KVBuffer:
    buffer = KVBuffer(LAYOUT, DEVICE, len(ids))
    cache.restore(cache.match("", ids), ids, buffer)
    return buffer


def test_the_chain_and_all_that_goes_on_from_it_is_a_miss_at_once(tmp_path: Path) -> None:
    """Before anything is removed: a tier that cannot remove now must not be read either."""
    cache = cache_over(ram(), disk(tmp_path))
    fork = token_ids(2 * BLOCK_SIZE) + token_ids(3 * BLOCK_SIZE, first=500)
    for ids in (token_ids(COUNT), fork):
        cache.save("", ids, filled_buffer(len(ids)).snapshot(), always)
    assert cache.quarantine("", token_ids(COUNT)) == 6
    for ids in (token_ids(COUNT), fork):
        match = cache.match("", ids)
        assert match.num_tokens == 0
        assert cache.why_missing(match.stopped_by).reason is MissReason.CORRUPT


def test_another_chain_and_another_tenant_are_not_touched() -> None:
    cache = cache_over(ram())
    others = token_ids(COUNT, first=900)
    cache.save("", others, filled_buffer(COUNT).snapshot(), always)
    cache.save("bob", token_ids(COUNT), filled_buffer(COUNT).snapshot(), always)
    cache.quarantine("", token_ids(COUNT))
    assert cache.match("", others).num_tokens == COUNT
    assert cache.match("bob", token_ids(COUNT)).num_tokens == COUNT


def test_what_was_handed_over_before_is_refused_and_what_comes_after_replaces_it() -> None:
    cache = cache_over(ram())
    bad, good = filled_buffer(COUNT, seed=1), filled_buffer(COUNT, seed=2)
    cache.save("", token_ids(COUNT), bad.snapshot(), always)
    before = cache.moment
    cache.quarantine("", token_ids(COUNT))
    assert cache.save("", token_ids(COUNT), bad.snapshot(), always, moment=before) == 0
    assert cache.match("", token_ids(COUNT)).num_tokens == 0
    assert cache.save("", token_ids(COUNT), good.snapshot(), always) > 0
    buffer = restored(cache, token_ids(COUNT))
    assert buffer.length == COUNT
    assert contents(buffer) == contents(good)


def test_only_what_was_computed_anew_is_trusted() -> None:
    """The tail of a later turn is still there, saved from the bad state; the head alone is sound."""
    cache = cache_over(ram())
    cache.save("", token_ids(COUNT), filled_buffer(COUNT, seed=1).snapshot(), always)
    cache.quarantine("", token_ids(2 * BLOCK_SIZE))
    good = filled_buffer(2 * BLOCK_SIZE, seed=2)
    cache.save("", token_ids(2 * BLOCK_SIZE), good.snapshot(), always)
    buffer = restored(cache, token_ids(COUNT))
    assert buffer.length == 2 * BLOCK_SIZE
    assert contents(buffer) == contents(good)


def test_each_tier_is_trusted_for_what_it_was_given_itself(tmp_path: Path) -> None:
    fast, slow = ram(), disk(tmp_path)
    cache = cache_over(fast, slow)
    bad, good = filled_buffer(COUNT, seed=1), filled_buffer(COUNT, seed=2)
    cache.save("", token_ids(COUNT), bad.snapshot(), always)
    cache.quarantine("", token_ids(COUNT))
    cache.save("", token_ids(COUNT), good.snapshot(), always, tiers=cache.tiers.local[:1])
    assert contents(restored(cache, token_ids(COUNT))) == contents(good)
    fast.remove_many([span.key for span in cache.match("", token_ids(COUNT)).spans])
    assert cache.match("", token_ids(COUNT)).num_tokens == 0, "the disk still has the bad ones"


def test_a_tier_that_took_nothing_new_is_not_trusted_for_it() -> None:
    class Filling(RamTier):
        full = False

        def put_many(self, blocks: Mapping[BlockKey, Block]) -> None:
            if self.full:
                raise TierFull("no room")
            super().put_many(blocks)

    tier = Filling(2**20)
    cache = cache_over(tier)
    cache.save("", token_ids(COUNT), filled_buffer(COUNT, seed=1).snapshot(), always)
    cache.quarantine("", token_ids(COUNT))
    tier.full = True
    cache.save("", token_ids(COUNT), filled_buffer(COUNT, seed=2).snapshot(), always)
    assert cache.match("", token_ids(COUNT)).num_tokens == 0, "it still has the bad ones"
