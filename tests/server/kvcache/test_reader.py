"""Blocks come out of a tier in pieces, each of them proved; to prove one changes nothing."""

import math

import pytest
from tests.support.state import BLOCK_SIZE, DIGEST, always, cache_over, filled_buffer, ram, token_ids

from warmturn_server.engine_api import MissReason
from warmturn_server.kvcache import BlockMiss
from warmturn_server.kvcache.keys import blocks_of, chain_seed
from warmturn_server.kvcache.tiers.tier import Medium

IDS = token_ids(40 * BLOCK_SIZE)
SPANS = blocks_of(chain_seed("", DIGEST), IDS, BLOCK_SIZE)


@pytest.mark.parametrize(("medium", "kept"), [("network", 16), ("disk", 0)])
def test_what_came_over_a_network_and_is_asked_for_to_the_end_of_a_piece_stays_in_memory(
    medium: Medium, kept: int
) -> None:
    """What the disk has is saved there after the turn."""
    fast, slow = ram(), ram()
    slow.name, slow.medium = "slow", medium
    cache_over(slow).save("", IDS, filled_buffer(len(IDS)).snapshot(), always)
    cache = cache_over(fast, slow)
    _, tier = cache.tiers
    for span, payload in cache.reader.payloads(tier, SPANS, IDS, lambda: math.inf):
        assert isinstance(payload, memoryview)
        if span is SPANS[20]:
            break
    assert fast.contains([span.key for span in SPANS]) == [True] * kept + [False] * (40 - kept)


@pytest.mark.parametrize("rubbish", [b"rubbish", None], ids=["corrupt", "absent"])
def test_nothing_comes_after_the_first_block_that_is_of_no_use(rubbish: bytes | None) -> None:
    fast, slow = ram(), ram()
    slow.name, slow.medium = "slow", "network"
    cache_over(slow).save("", IDS, filled_buffer(len(IDS)).snapshot(), always)
    slow.remove_many([SPANS[18].key])
    if rubbish:
        slow.put_many({SPANS[18].key: rubbish})
    cache = cache_over(fast, slow)
    _, tier = cache.tiers
    read = list(cache.reader.payloads(tier, SPANS, IDS, lambda: math.inf))
    assert [span for span, _ in read] == SPANS[:19]
    assert read[-1][1] == (BlockMiss(MissReason.CORRUPT, SPANS[18].key, "slow") if rubbish else None)
    assert fast.num_blocks == 16


def test_a_corrupt_block_is_named_and_left_for_others_to_discard() -> None:
    tier = ram()
    cache = cache_over(tier)
    tier.put_many({SPANS[0].key: b"rubbish"})
    (guarded,) = cache.tiers
    miss = cache.reader.payload(guarded, SPANS[0], b"rubbish", IDS)
    assert miss == BlockMiss(MissReason.CORRUPT, SPANS[0].key, "ram")
    assert tier.contains([SPANS[0].key]) == [True]
    cache.tiers.discard(guarded, SPANS[0].key)
    assert tier.contains([SPANS[0].key]) == [False]
