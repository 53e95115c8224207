"""A tier that fails is left alone for a while; nobody but the guard notices."""

from collections.abc import Sequence

import pytest
from tests.support.state import Tally

from warmturn_server.kvcache import Block, BlockKey, GuardedTier, TierUnavailable
from warmturn_server.kvcache.ram import RamTier

KEY = BlockKey(bytes(32))


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
