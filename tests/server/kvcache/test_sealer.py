"""No tier holds a block past the sealer; without its key there is a miss. For what comes back see `test_round_trip`."""

from pathlib import Path

import pytest
from tests.support.device import DEVICE
from tests.support.redis_server import RedisServer
from tests.support.state import (
    BLOCK_SIZE,
    LAYOUT,
    NO_SEALER,
    Tally,
    always,
    cache_over,
    codec_of,
    contents,
    disk,
    filled_buffer,
    ram,
    redis_tier,
    token_ids,
)
from tests.support.waiting import wait_until
from tests.support.xor_sealer import XorSealer

from warmturn_server.engine_api import MissReason
from warmturn_server.kvcache import BlockKey, BlockSealer, KVBuffer, Prefetcher, PrefixCache, SealedCodec

NUM_TOKENS = 10 * BLOCK_SIZE
IDS = token_ids(NUM_TOKENS)
MINE, OTHER = XorSealer(0x5A), XorSealer(0x33)
KEY = BlockKey(bytes(32))


def save(cache: PrefixCache) -> KVBuffer:
    buffer = filled_buffer(NUM_TOKENS)
    cache.save("", IDS, buffer.snapshot(), always)
    return buffer


def test_what_every_tier_holds_is_sealed(tmp_path: Path, redis_server: RedisServer) -> None:
    tiers = ram(), disk(tmp_path), redis_tier(redis_server.url)
    cache = cache_over(*tiers, sealer=MINE)
    save(cache)
    keys = [span.key for span in cache.match_everywhere("", IDS).spans]
    plain = [
        codec_of().encode(span, IDS[span.start : span.stop], filled_buffer(NUM_TOKENS).snapshot())
        for span in cache.match("", IDS).spans
    ]
    for tier in tiers:
        held = tier.get_many(keys)
        assert [bytes(held[key]) for key in keys] == [bytes(MINE.seal(k, b)) for k, b in zip(keys, plain, strict=True)]
        assert all(b"WARMKV" not in bytes(block) for block in held.values())
    assert all(b"WARMKV" not in path.read_bytes() for path in tmp_path.rglob("*.kv"))
    cache.close()


def test_the_overhead_counts(tmp_path: Path) -> None:
    tier = disk(tmp_path)
    save(cache_over(tier, sealer=MINE))
    assert tier.num_bytes == 10 * SealedCodec(codec_of(), MINE).num_bytes(BLOCK_SIZE)
    assert tier.num_bytes == 10 * (SealedCodec(codec_of(), NO_SEALER).num_bytes(BLOCK_SIZE) + 16)


def test_no_sealer_is_no_copy() -> None:
    block = bytearray(b"block")
    assert NO_SEALER.seal(KEY, block) is block
    view = memoryview(block)
    assert NO_SEALER.open(KEY, view) is view


@pytest.mark.parametrize("reader", [OTHER, NO_SEALER], ids=["another-key", "none"])
def test_without_the_key_it_is_a_corrupt_miss_and_the_tier_is_rid_of_it(tmp_path: Path, reader: BlockSealer) -> None:
    save(cache_over(disk(tmp_path), sealer=MINE))
    cache = cache_over(disk(tmp_path), sealer=reader)
    buffer = KVBuffer(LAYOUT, DEVICE, NUM_TOKENS)
    restored = cache.restore(cache.match("", IDS), IDS, buffer)
    assert (buffer.length, restored.reason) == (0, MissReason.CORRUPT)
    assert cache.match("", IDS).num_tokens == 0


def test_what_had_to_leave_for_others_is_evicted_and_the_rest_comes_back() -> None:
    cache = cache_over(ram(1400), sealer=MINE)
    saved, buffer = save(cache), KVBuffer(LAYOUT, DEVICE, NUM_TOKENS)
    match = cache.match("", IDS)
    assert cache.restore(match, IDS, buffer).reason is None
    assert BLOCK_SIZE <= buffer.length < NUM_TOKENS
    assert contents(buffer) == contents(saved, 0, buffer.length)
    assert cache.why_missing(match.stopped_by).reason is MissReason.EVICTED


def test_a_prefetch_copies_it_as_it_is_sealed(tmp_path: Path) -> None:
    saved = save(cache_over(disk(tmp_path), sealer=MINE))
    fast = ram()
    cache, tally = cache_over(fast, disk(tmp_path), sealer=MINE), Tally()
    prefetcher = Prefetcher(cache, tally)
    prefetcher.prefetch("", IDS)
    wait_until(lambda: tally.prefetched_tokens == {"disk": NUM_TOKENS}, "nothing was prefetched")
    prefetcher.close()
    buffer = KVBuffer(LAYOUT, DEVICE, NUM_TOKENS)
    assert cache.restore(cache.match("", IDS), IDS, buffer).tokens_by_tier == {"ram": NUM_TOKENS}
    assert contents(buffer) == contents(saved)


def test_a_turn_brings_it_from_over_the_network(redis_server: RedisServer) -> None:
    saved = save(cache_over(redis_tier(redis_server.url), sealer=MINE))
    for sealer, length, reason in ((MINE, NUM_TOKENS, None), (OTHER, 0, MissReason.CORRUPT)):
        cache = cache_over(redis_tier(redis_server.url), sealer=sealer)
        buffer = KVBuffer(LAYOUT, DEVICE, NUM_TOKENS)
        restored = cache.restore_from_remote("", IDS, buffer, cache.policy.deadline(0, lambda *_: 60.0))
        assert (buffer.length, restored.reason) == (length, reason)
        assert contents(buffer) == contents(saved, 0, length)
        cache.close()
