"""A tier that fails is left alone for a while; nobody but the guard notices."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

import pytest
from tests.support.state import Tally
from tests.support.waiting import wait_until

from warmturn_server.kvcache import Block, BlockKey, GuardedTier, TierFull, TierUnavailable
from warmturn_server.kvcache.tiers.ram import RamTier

KEY, OTHER = BlockKey(bytes(32)), BlockKey(bytes(31) + b"\1")


class Flaky(RamTier):
    """A tier that can be switched off."""

    def __init__(self) -> None:
        super().__init__(1000)
        self.broken = False
        self.calls = 0

    def get_many(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Block]:
        self.calls += 1
        if self.broken:
            raise TierUnavailable("gone")
        return super().get_many(keys)


def test_a_failure_is_a_miss_counted_once_and_the_tier_rests() -> None:
    tier, tally = Flaky(), Tally()
    guarded = GuardedTier(tier, tally, pause_seconds=60)
    guarded.put_many({KEY: b"block"})
    tier.broken = True
    assert [guarded.get_many([KEY]) for _ in range(5)] == [{}] * 5
    assert tally.failures == ["ram"]
    assert tier.calls == 1
    assert guarded.contains([KEY, KEY]) == [False, False]


def test_it_is_tried_again_after_the_pause() -> None:
    tier = Flaky()
    guarded = GuardedTier(tier, Tally(), pause_seconds=0)
    guarded.put_many({KEY: b"block"})
    tier.broken = True
    assert guarded.get_many([KEY]) == {}
    tier.broken = False
    assert guarded.get_many([KEY]) == {KEY: b"block"}


def test_a_bug_is_not_taken_for_an_outage() -> None:
    class Buggy(RamTier):
        def get_many(self, _: Sequence[BlockKey]) -> dict[BlockKey, Block]:
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        GuardedTier(Buggy(10), Tally()).get_many([KEY])


class Sick(Flaky):
    """A tier that is asked whether it is well."""

    def __init__(self) -> None:
        super().__init__()
        self.probed = threading.Semaphore(0)

    def probe(self) -> None:
        self.probed.release()
        if self.broken:
            raise TierUnavailable("still gone")


def await_available(guarded: GuardedTier) -> None:
    wait_until(lambda: guarded.available, "the tier never came back")


def test_with_a_probe_it_stays_off_until_that_succeeds_and_no_caller_has_to_find_out() -> None:
    tier, tally = Sick(), Tally()
    guarded = GuardedTier(tier, tally, pause_seconds=0.01, probe=tier.probe)
    guarded.put_many({KEY: b"block"})
    tier.broken = True
    guarded.get_many([KEY])
    for _ in range(3):
        assert tier.probed.acquire(timeout=10)
        assert guarded.get_many([KEY]) == {}
    assert (tier.calls, tally.failures) == (1, ["ram"])
    tier.broken = False
    await_available(guarded)
    assert guarded.get_many([KEY]) == {KEY: b"block"}


def test_what_was_to_be_removed_meanwhile_is_gone_before_anybody_reads_it() -> None:
    tier = Sick()
    guarded = GuardedTier(tier, Tally(), pause_seconds=0.01, probe=tier.probe)
    guarded.put_many({KEY: b"block", OTHER: b"other"})
    tier.broken = True
    guarded.get_many([KEY])
    guarded.remove_many([KEY])
    tier.broken = False
    await_available(guarded)
    assert guarded.get_many([KEY, OTHER]) == {OTHER: b"other"}


def test_without_a_probe_it_is_gone_when_the_pause_is_over() -> None:
    tier = Flaky()
    guarded = GuardedTier(tier, Tally(), pause_seconds=0.05)
    guarded.put_many({KEY: b"block", OTHER: b"other"})
    tier.broken = True
    guarded.get_many([KEY])
    guarded.remove_many([KEY])
    assert tier.contains([KEY]) == [True]
    tier.broken = False
    await_available(guarded)
    assert guarded.contains([KEY, OTHER]) == [False, True]


def test_what_is_to_be_removed_while_the_tier_comes_back_is_removed_too() -> None:
    class Slow(Sick):
        """Removing takes until it is let through."""

        removing, through = threading.Event(), threading.Event()

        def remove_many(self, keys: Collection[BlockKey]) -> None:
            self.removing.set()
            assert self.through.wait(10)
            super().remove_many(keys)

    tier = Slow()
    guarded = GuardedTier(tier, Tally(), pause_seconds=0.01, probe=tier.probe)
    guarded.put_many({KEY: b"block", OTHER: b"other"})
    tier.broken = True
    guarded.get_many([KEY])
    guarded.remove_many([KEY])
    tier.broken = False
    assert tier.removing.wait(10)
    guarded.remove_many([OTHER])
    tier.through.set()
    await_available(guarded)
    assert guarded.get_many([KEY, OTHER]) == {}


def test_what_was_refused_just_before_the_tier_came_back_is_removed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    tier = Sick()
    guarded = GuardedTier(tier, Tally(), pause_seconds=0.01, probe=tier.probe)
    guarded.put_many({KEY: b"block"})
    tier.broken = True
    guarded.get_many([KEY])
    attempt = guarded._try

    def and_then_back(call: Callable[[], bool], otherwise: bool) -> bool:
        done = attempt(call, otherwise)
        tier.broken = False
        await_available(guarded)
        return done

    with monkeypatch.context() as racing:
        racing.setattr(guarded, "_try", and_then_back)
        guarded.remove_many([KEY])
    assert guarded.get_many([KEY]) == {}


def test_a_tier_that_is_full_is_still_read_from() -> None:
    class Full(RamTier):
        def put_many(self, blocks: Mapping[BlockKey, Block]) -> None:
            super().put_many(blocks)
            raise TierFull("no room")

    tally = Tally()
    guarded = GuardedTier(Full(1000), tally, pause_seconds=60)
    guarded.put_many({KEY: b"block"})
    guarded.put_many({OTHER: b"other"})
    assert guarded.get_many([KEY, OTHER]) == {KEY: b"block"}
    assert (guarded.available, guarded.writable, tally.failures) == (True, False, ["ram"])


def test_a_closed_guard_asks_no_more() -> None:
    tier = Sick()
    guarded = GuardedTier(tier, Tally(), pause_seconds=0.01, probe=tier.probe)
    tier.broken, before = True, {*threading.enumerate()}
    guarded.get_many([KEY])
    (asking,) = {*threading.enumerate()} - before
    assert tier.probed.acquire(timeout=10)
    guarded.close()
    asking.join(30)
    assert not asking.is_alive()
