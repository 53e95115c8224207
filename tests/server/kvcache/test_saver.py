"""Saving happens elsewhere, never blocks, and outlives its own failures."""

import threading
from collections.abc import Collection, Iterator

import pytest
from tests.support.state import Tally, cache_over, filled_buffer, ram, token_ids
from tests.support.waiting import wait_until

from warmturn_server.kvcache import KVSnapshot, PrefixCache, RamTier, Saver
from warmturn_server.kvcache.keys import BlockKey
from warmturn_server.kvcache.saver import MAX_WAITING, MAX_WAITING_REMOTE
from warmturn_server.kvcache.tiers.tier import Medium


class Gate(RamTier):
    """A tier whose writes wait until they are let through."""

    def __init__(self) -> None:
        super().__init__(2**20)
        self.open = threading.Event()

    def put_many(self, blocks: object) -> None:
        assert self.open.wait(10)
        super().put_many(blocks)  # type: ignore[arg-type]


@pytest.fixture
def snapshot() -> Iterator[KVSnapshot]:
    yield filled_buffer(9).snapshot()


def test_what_was_saved_is_there_after_a_flush(snapshot: KVSnapshot) -> None:
    cache, tally = cache_over(ram()), Tally()
    saver = Saver(cache, tally)
    saver.save("", token_ids(9), snapshot)
    saver.flush()
    assert cache.match("", token_ids(9)).num_tokens == 9
    assert tally.saved_bytes > 0
    saver.close()


def test_closing_writes_what_is_queued(snapshot: KVSnapshot) -> None:
    cache = cache_over(ram())
    saver = Saver(cache, Tally())
    for number in range(10):
        saver.save(f"tenant {number}", token_ids(9), snapshot)
    saver.close()
    assert [cache.match(f"tenant {number}", token_ids(9)).num_tokens for number in range(10)] == [9] * 10


def test_saving_never_waits_and_drops_what_is_too_much(snapshot: KVSnapshot) -> None:
    gate, tally = Gate(), Tally()
    saver = Saver(cache_over(gate), tally)
    for number in range(MAX_WAITING + 10):
        saver.save(f"tenant {number}", token_ids(9), snapshot)
    assert tally.dropped >= 9
    gate.open.set()
    saver.close()
    assert gate.num_blocks == 3 * (MAX_WAITING + 10 - tally.dropped)


def test_a_failed_save_does_not_stop_the_next(snapshot: KVSnapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    cache: PrefixCache = cache_over(ram())
    saver = Saver(cache, Tally())
    with monkeypatch.context() as failing:
        failing.setattr(PrefixCache, "save", None)
        saver.save("", token_ids(9), snapshot)
        saver.flush()
    saver.save("", token_ids(9), snapshot)
    saver.flush()
    assert cache.match("", token_ids(9)).num_tokens == 9
    saver.close()


def test_closing_does_not_wait_for_ever(snapshot: KVSnapshot) -> None:
    gate = Gate()
    saver = Saver(cache_over(gate), Tally())
    saver.save("", token_ids(9), snapshot)
    saver.close(timeout_seconds=0.1)
    gate.open.set()


class RemoteGate(Gate):
    """The same over a network."""

    name = "redis"
    medium: Medium = "network"


def test_a_network_that_hangs_keeps_nothing_from_being_saved_here(snapshot: KVSnapshot) -> None:
    local, gate, tally = ram(), RemoteGate(), Tally()
    saver = Saver(cache_over(local, gate), tally)
    for number in range(MAX_WAITING_REMOTE + 5):
        saver.save(f"tenant {number}", token_ids(9), snapshot)
    wait_until(lambda: local.num_blocks == 3 * (MAX_WAITING_REMOTE + 5), "not everything was saved here")
    assert tally.dropped >= 4, "those for the network, and nobody waited for that"
    gate.open.set()
    saver.close()
    assert gate.num_blocks == 3 * (MAX_WAITING_REMOTE + 5 - tally.dropped)


def test_what_is_promised_is_dropped_nowhere_but_on_the_way_to_a_network(snapshot: KVSnapshot) -> None:
    gates, tally = (Gate(), RemoteGate()), Tally()
    cache = cache_over(*gates)
    saver = Saver(cache, tally)
    for number in range(MAX_WAITING + 2):
        saver.save(f"tenant {number}", token_ids(9), snapshot)
    dropped = tally.dropped
    saver.save("promised", token_ids(9), snapshot, promised=True)
    assert tally.dropped == dropped + 1
    for gate in gates:
        gate.open.set()
    saver.close()
    assert cache.match("promised", token_ids(9)).num_tokens == 9


def test_what_waits_for_saving_while_its_chain_is_quarantined_is_not_saved(snapshot: KVSnapshot) -> None:
    gate = Gate()
    cache = cache_over(gate)
    saver = Saver(cache, Tally())
    saver.save("other", token_ids(9), snapshot)
    saver.save("", token_ids(9), snapshot)
    cache.quarantine("", token_ids(9))
    gate.open.set()
    saver.flush()
    assert [cache.match(tenant, token_ids(9)).num_tokens for tenant in ("other", "")] == [9, 0]
    saver.close()


def test_what_is_forgotten_goes_from_the_farthest_tier_first(snapshot: KVSnapshot) -> None:
    """Or what is still remote could be prefetched again behind the forgetting."""
    order: list[str] = []

    class Watched(RamTier):
        def __init__(self, name: str, medium: Medium) -> None:
            super().__init__(2**20)
            self.name, self.medium = name, medium

        def remove_many(self, keys: Collection[BlockKey]) -> None:
            order.append(self.name)
            super().remove_many(keys)

    local, disk, remote = Watched("ram", "memory"), Watched("disk", "disk"), Watched("redis", "network")
    saver, done = Saver(cache_over(local, disk, remote), Tally()), threading.Event()
    saver.save("", token_ids(9), snapshot)
    saver.forget("", token_ids(9), 0, done.set)
    assert done.wait(10)
    assert order == ["redis", "disk", "ram"]
    assert (local.num_blocks, disk.num_blocks, remote.num_blocks) == (0, 0, 0)
    saver.close()
