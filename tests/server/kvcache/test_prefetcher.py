"""State comes nearer in the background, checked, within bounds, and never after it was deleted."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.device import DEVICE
from tests.support.state import (
    BLOCK_SIZE,
    DIGEST,
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

from warmturn_server.kvcache import Block, BlockKey, DiskTier, KVBuffer, Prefetcher, PrefixCache, RamTier
from warmturn_server.kvcache.prefetcher import MAX_WAITING

NUM_TOKENS = 40 * BLOCK_SIZE + 3


@pytest.fixture
def saved(tmp_path: Path) -> KVBuffer:
    """State of `token_ids(NUM_TOKENS)` that only the disk holds."""
    buffer = filled_buffer(NUM_TOKENS)
    cache_over(disk(tmp_path)).save("", token_ids(NUM_TOKENS), buffer.snapshot(), always)
    return buffer


class Gate(DiskTier):
    """A disk that has read what it was asked for, but does not say so until it is let through."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, DIGEST, 2**20)
        self.reading = threading.Event()
        self.open = threading.Event()

    def get_many(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Block]:
        found = super().get_many(keys)
        self.reading.set()
        assert self.open.wait(10)
        return found


def prefetch(cache: PrefixCache, tally: Tally, tenant: str = "") -> str:
    """Ask, and wait for the end of it."""
    prefetcher = Prefetcher(cache, tally)
    asked = prefetcher.prefetch(tenant, token_ids(NUM_TOKENS))
    assert asked is not None
    status = asked.result(10).status
    while prefetcher._pending:
        threading.Event().wait(0.01)
    prefetcher.close()
    return status


def test_what_was_far_is_near_and_bit_for_bit(tmp_path: Path, saved: KVBuffer) -> None:
    fast, tally = ram(), Tally()
    cache = cache_over(fast, disk(tmp_path))
    assert prefetch(cache, tally) == "started"
    assert tally.prefetched_tokens == {"disk": NUM_TOKENS}
    alone = cache_over(fast)
    restored = KVBuffer(LAYOUT, DEVICE, NUM_TOKENS)
    alone.restore(alone.match("", token_ids(NUM_TOKENS)), token_ids(NUM_TOKENS), restored)
    assert contents(restored) == contents(saved)


@pytest.mark.usefixtures("saved")
def test_asking_again_does_nothing(tmp_path: Path) -> None:
    cache, tally = cache_over(ram(), disk(tmp_path)), Tally()
    assert [prefetch(cache, tally) for _ in range(3)] == ["started", "warm", "warm"]
    assert tally.prefetched_tokens == {"disk": NUM_TOKENS}


@pytest.mark.usefixtures("saved")
def test_another_tenants_state_stays_where_it_is(tmp_path: Path) -> None:
    fast = ram()
    assert prefetch(cache_over(fast, disk(tmp_path)), Tally(), tenant="other") == "nothing_saved"
    assert fast.num_blocks == 0


@pytest.mark.usefixtures("saved")
def test_a_corrupt_block_is_not_brought_and_not_tried_twice(tmp_path: Path) -> None:
    path = sorted(tmp_path.rglob("*.kv"))[0]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    fast = ram()
    prefetch(cache_over(fast, disk(tmp_path)), Tally())
    assert fast.num_blocks == 40
    assert not path.exists()


@pytest.mark.usefixtures("saved")
def test_at_most_half_of_the_nearest_tier_and_the_head_of_the_chain(tmp_path: Path) -> None:
    fast = ram(NUM_TOKENS * LAYOUT.bytes_per_token)
    cache = cache_over(fast, disk(tmp_path))
    prefetch(cache, Tally())
    assert fast.num_bytes < fast.budget_bytes
    held = fast.contains([span.key for span in cache.match("", token_ids(NUM_TOKENS)).spans])
    assert held == [True] * 20 + [False] * 21


@pytest.mark.usefixtures("saved")
def test_the_head_is_what_stays_longest(tmp_path: Path) -> None:
    fast = ram()
    cache = cache_over(fast, disk(tmp_path))
    prefetch(cache, Tally())
    first = cache.match("", token_ids(NUM_TOKENS)).spans[0].key
    assert next(reversed(fast._index._sizes)) == first


@pytest.mark.usefixtures("saved")
def test_one_tier_alone_has_nowhere_nearer(tmp_path: Path) -> None:
    tally = Tally()
    assert prefetch(cache_over(disk(tmp_path)), tally) == "warm"
    assert tally.prefetched_tokens == {}


@pytest.mark.usefixtures("saved")
def test_too_many_at_once_are_dropped_and_counted_and_nobody_waits(tmp_path: Path) -> None:
    gate, tally = Gate(tmp_path), Tally()
    prefetcher = Prefetcher(cache_over(ram(), gate), tally)
    prefetcher.prefetch("", token_ids(NUM_TOKENS))
    assert gate.reading.wait(10)
    twice = [prefetcher.prefetch(f"tenant {n}", token_ids(5)) for n in (1, 1)]
    assert twice[0] is twice[1] is not None
    asked = [prefetcher.prefetch(f"tenant {n}", token_ids(5)) for n in range(2, MAX_WAITING + 4)]
    assert asked[-3:] == [None, None, None]
    assert tally.dropped == 3
    gate.open.set()
    prefetcher.close()


@pytest.mark.usefixtures("saved")
def test_state_deleted_meanwhile_does_not_come_back(tmp_path: Path) -> None:
    fast, gate, tally = ram(), Gate(tmp_path), Tally()
    cache = cache_over(fast, gate)
    prefetcher = Prefetcher(cache, tally)
    prefetcher.prefetch("", token_ids(NUM_TOKENS))
    assert gate.reading.wait(10)
    forgetting = threading.Thread(target=cache.forget, args=("", token_ids(NUM_TOKENS)))
    forgetting.start()
    forgetting.join(0.1)
    gate.open.set()
    forgetting.join(10)
    while prefetcher._pending:
        threading.Event().wait(0.01)
    prefetcher.close()
    assert (fast.num_blocks, gate.num_blocks) == (0, 0)


@pytest.mark.usefixtures("saved")
def test_a_failure_does_not_stop_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefetcher = Prefetcher(cache_over(ram(), disk(tmp_path)), Tally())
    with monkeypatch.context() as failing:
        failing.setattr(PrefixCache, "match_everywhere", None)
        failed = prefetcher.prefetch("", token_ids(NUM_TOKENS))
        assert failed is not None
        assert isinstance(failed.exception(10), TypeError)
    while prefetcher._pending:
        threading.Event().wait(0.01)
    asked = prefetcher.prefetch("", token_ids(NUM_TOKENS))
    assert asked is not None
    assert asked.result(10).tokens_by_tier == {"ram": 0, "disk": NUM_TOKENS}
    prefetcher.close()


@pytest.mark.usefixtures("saved")
def test_closing_stops_after_the_piece_under_way(tmp_path: Path) -> None:
    fast, gate = RamTier(2**20), Gate(tmp_path)
    prefetcher = Prefetcher(cache_over(fast, gate), Tally())
    prefetcher.prefetch("", token_ids(NUM_TOKENS))
    assert gate.reading.wait(10)
    closing = threading.Thread(target=prefetcher.close)
    closing.start()
    closing.join(0.05)
    gate.open.set()
    closing.join(10)
    assert 0 < fast.num_blocks < 41
