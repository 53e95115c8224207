"""A tier over a network is looked up and read only where somebody may wait, and no longer than that pays."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.device import DEVICE
from tests.support.state import (
    BLOCK_SIZE,
    LAYOUT,
    Tally,
    always,
    cache_over,
    contents,
    disk,
    filled_buffer,
    ram,
    token_ids,
)

from warmturn_server.engine_api import MissReason
from warmturn_server.kvcache import Block, BlockKey, Deadline, KVBuffer, PrefixCache, RamTier
from warmturn_server.kvcache.tiers.tier import Medium

NUM_TOKENS = 40 * BLOCK_SIZE + 3
IDS = token_ids(NUM_TOKENS)


class Remote(RamTier):
    """A network whose answers can be held back: look-ups, or reads after the first few blocks."""

    name = "redis"
    medium: Medium = "network"

    def __init__(self) -> None:
        super().__init__(2**20)
        self.asked_by: list[str] = []
        self.lookups, self.reads = threading.Event(), threading.Event()
        self.lookups.set()
        self.reads.set()
        self.blocks_before_holding = 10**6

    def contains(self, keys: Sequence[BlockKey]) -> list[bool]:
        self.asked_by.append(threading.current_thread().name)
        assert self.lookups.wait(30)
        return super().contains(keys)

    def get_many(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Block]:
        self.asked_by.append(threading.current_thread().name)
        self.blocks_before_holding -= len(keys)
        assert self.blocks_before_holding >= 0 or self.reads.wait(30)
        return super().get_many(keys)


@pytest.fixture
def remote() -> Remote:
    """It has the state of `IDS`."""
    tier = Remote()
    cache_over(tier).save("", IDS, filled_buffer(NUM_TOKENS).snapshot(), always)
    tier.asked_by.clear()
    return tier


def deadline(wait_seconds: float = 60.0, compute_seconds: float = 60.0) -> Deadline:
    return Deadline(0, wait_seconds, wait_seconds, lambda tokens, context: compute_seconds * (tokens + 0 * context))


def restore(cache: PrefixCache, deadline: Deadline) -> tuple[KVBuffer, MissReason | None]:
    buffer = KVBuffer(LAYOUT, DEVICE, NUM_TOKENS)
    restored = cache.restore_from_remote("", IDS, buffer, deadline)
    assert contents(buffer) == contents(filled_buffer(NUM_TOKENS), 0, buffer.length)
    assert sum(restored.tokens_by_tier.values()) == buffer.length
    return buffer, restored.reason


def test_what_decides_who_may_begin_asks_no_network(remote: Remote) -> None:
    cache = cache_over(ram(), remote)
    match = cache.match("", IDS)
    assert match.num_tokens == 0
    cache.why_missing(match.stopped_by)
    assert remote.asked_by == []


def test_everything_is_found_and_brought_by_threads_that_nobody_else_waits_for(remote: Remote, tmp_path: Path) -> None:
    local, on_disk = ram(), disk(tmp_path)
    buffer, reason = restore(cache_over(local, on_disk, remote), deadline())
    assert (buffer.length, reason) == (NUM_TOKENS, None)
    assert all(name.startswith("warmturn-redis") for name in remote.asked_by)
    assert (local.num_blocks, on_disk.num_blocks) == (41, 0), "it stays here; the disk gets it when the turn is saved"


def test_a_look_up_without_an_answer_is_given_up_and_the_tier_is_off(remote: Remote) -> None:
    remote.lookups.clear()
    cache = cache_over(remote, tally=(tally := Tally()))
    buffer, reason = restore(cache, deadline(wait_seconds=0.02))
    assert (buffer.length, reason) == (0, MissReason.STORE_UNAVAILABLE)
    assert tally.failures == ["redis"]
    remote.lookups.set()


def test_a_restore_that_falls_behind_computing_keeps_what_came_and_is_cut_off(remote: Remote) -> None:
    remote.reads.clear()
    remote.blocks_before_holding = 20
    cache = cache_over(remote, tally=(tally := Tally()))
    buffer, reason = restore(cache, deadline(wait_seconds=0.5, compute_seconds=1e-4))
    assert (buffer.length, reason) == (16 * BLOCK_SIZE, MissReason.RECOMPUTE_FASTER)
    assert tally.failures == [], "slow is not gone"
    remote.reads.set()
    _, reason = restore(cache, deadline(compute_seconds=1e-4))
    assert reason is MissReason.RECOMPUTE_FASTER, "the next one is not even begun"


def test_without_any_time_left_nothing_is_asked_and_nobody_is_blamed(remote: Remote) -> None:
    cache = cache_over(remote, tally=(tally := Tally()))
    buffer, _ = restore(cache, deadline(wait_seconds=-1.0, compute_seconds=0.0))
    assert (buffer.length, remote.asked_by, tally.failures) == (0, [], [])


def test_a_block_that_is_corrupt_here_comes_from_there(remote: Remote) -> None:
    local = ram()
    cache = cache_over(local, remote)
    cache.save("", IDS, filled_buffer(NUM_TOKENS).snapshot(), always)
    first = cache.match("", IDS).spans[0].key
    local.put_many({first: b"rubbish"})
    buffer = KVBuffer(LAYOUT, DEVICE, NUM_TOKENS)
    here = cache.restore(cache.match("", IDS), IDS, buffer)
    assert (buffer.length, here.reason) == (0, MissReason.CORRUPT)
    both = here.followed_by(cache.restore_from_remote("", IDS, buffer, deadline()))
    assert (buffer.length, both.reason) == (NUM_TOKENS, None)
    assert both.tokens_by_tier == {"redis": BLOCK_SIZE, "ram": NUM_TOKENS - BLOCK_SIZE}
