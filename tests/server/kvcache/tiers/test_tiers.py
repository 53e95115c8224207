"""What every tier must do, whatever it is made of."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.state import Tally, disk, ram, redis_tier

from warmturn_server.kvcache import BlockKey, GuardedTier, Tier


def open_ram(_: Path, budget_bytes: int) -> Tier:
    return ram(budget_bytes)


def open_disk(folder: Path, budget_bytes: int) -> Tier:
    return disk(folder, budget_bytes)


def open_guarded(_: Path, budget_bytes: int) -> Tier:
    return GuardedTier(ram(budget_bytes), Tally())


BOUNDED = pytest.mark.parametrize("open_tier", [open_ram, open_disk, open_guarded], ids=["ram", "disk", "guarded"])


@pytest.fixture(params=["ram", "disk", "guarded", "redis"])
def tier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tier]:
    """Every tier; over Redis with a namespace of the test's own."""
    if request.param != "redis":
        yield {"ram": open_ram, "disk": open_disk, "guarded": open_guarded}[request.param](tmp_path, 1000)
        return
    over_redis = redis_tier(request.getfixturevalue("redis_url"), secret=str(tmp_path).encode())
    yield over_redis
    over_redis.close()


@pytest.fixture
def bounded(open_tier: Callable[[Path, int], Tier], tmp_path: Path) -> Tier:
    """One that keeps its own budget."""
    return open_tier(tmp_path, 1000)


def key(number: int) -> BlockKey:
    return BlockKey(number.to_bytes(32, "big"))


def block(number: int, num_bytes: int = 100) -> bytes:
    return bytes([number % 256]) * num_bytes


def put(tier: Tier, *numbers: int, num_bytes: int = 100) -> None:
    for number in numbers:
        tier.put_many({key(number): block(number, num_bytes)})


def sizes(tier: Tier, num_bytes: int, num_blocks: int) -> tuple[int | None, int | None]:
    """What a tier should say it holds: one whose contents others change cannot know."""
    return (None, None) if tier.medium == "network" else (num_bytes, num_blocks)


def held(tier: Tier, count: int = 20) -> set[int]:
    return {number for number, has in enumerate(tier.contains([key(n) for n in range(count)])) if has}


def test_an_empty_tier_has_nothing(tier: Tier) -> None:
    assert tier.get_many([key(1)]) == {}
    assert tier.contains([key(1), key(2)]) == [False, False]
    assert (tier.num_bytes, tier.num_blocks) == sizes(tier, 0, 0)
    tier.remove_many([key(1)])
    assert not tier.evicted(key(1))


def test_nothing_at_all_can_be_asked_and_given(tier: Tier) -> None:
    assert tier.contains([]) == []
    assert tier.get_many([]) == {}
    tier.put_many({})
    tier.remove_many([])


def test_what_was_put_comes_back_and_a_miss_is_absent(tier: Tier) -> None:
    put(tier, 1, 2)
    assert tier.get_many([key(2), key(3), key(1)]) == {key(1): block(1), key(2): block(2)}
    assert tier.contains([key(1), key(3)]) == [True, False]


def test_an_empty_block_is_a_block(tier: Tier) -> None:
    put(tier, 1, num_bytes=0)
    assert held(tier) == {1}


def test_putting_again_replaces(tier: Tier) -> None:
    put(tier, 1)
    tier.put_many({key(1): b"new"})
    assert tier.get_many([key(1)]) == {key(1): b"new"}
    assert (tier.num_bytes, tier.num_blocks) == sizes(tier, 3, 1)


def test_removed_is_gone_and_not_called_evicted(tier: Tier) -> None:
    put(tier, 1, 2)
    tier.remove_many([key(1), key(7)])
    assert held(tier) == {2}
    assert tier.get_many([key(1)]) == {}
    assert (tier.num_bytes, tier.num_blocks) == sizes(tier, 100, 1)
    assert not tier.evicted(key(1))


@BOUNDED
def test_the_budget_holds_and_the_oldest_leaves_first(bounded: Tier) -> None:
    put(bounded, *range(13))
    assert held(bounded) == set(range(3, 13))
    assert bounded.num_bytes == 1000 == bounded.budget_bytes
    assert [bounded.evicted(key(number)) for number in (0, 2, 3)] == [True, True, False]
    assert bounded.get_many([key(0)]) == {}


@BOUNDED
def test_reading_is_a_use(bounded: Tier) -> None:
    put(bounded, *range(10))
    bounded.get_many([key(0)])
    put(bounded, 10, 11)
    assert held(bounded) == {0, *range(3, 12)}


@BOUNDED
def test_asking_is_not_a_use(bounded: Tier) -> None:
    put(bounded, *range(10))
    bounded.contains([key(0)])
    put(bounded, 10)
    assert 0 not in held(bounded)


@BOUNDED
def test_of_a_chain_read_together_the_tail_leaves_first(bounded: Tier) -> None:
    put(bounded, *range(10))
    bounded.get_many([key(number) for number in range(10)])
    put(bounded, 10)
    assert 9 not in held(bounded)
    assert 0 in held(bounded)


@BOUNDED
def test_of_a_chain_used_together_the_tail_leaves_first(bounded: Tier) -> None:
    put(bounded, *range(10))
    bounded.used([key(2), key(0), key(77), key(1)])
    put(bounded, *range(10, 18))
    assert held(bounded) == {0, 2, *range(10, 18)}


@BOUNDED
def test_what_nobody_is_expected_to_want_leaves_before_all_else(bounded: Tier) -> None:
    put(bounded, *range(10))
    bounded.leave_first([key(7), key(77), key(8)])
    put(bounded, 10)
    assert held(bounded) == {*range(8), 9, 10}
    put(bounded, 11)
    assert held(bounded) == {*range(7), 9, 10, 11}


@BOUNDED
def test_what_comes_back_is_no_longer_called_evicted(bounded: Tier) -> None:
    put(bounded, *range(11))
    put(bounded, 0)
    assert not bounded.evicted(key(0))


@BOUNDED
def test_a_block_larger_than_the_budget_pushes_nothing_out(bounded: Tier) -> None:
    put(bounded, 1, 2)
    put(bounded, 3, num_bytes=1001)
    assert held(bounded) == {1, 2}


@BOUNDED
def test_a_budget_of_nothing_holds_nothing(open_tier: Callable[[Path, int], Tier], tmp_path: Path) -> None:
    tier = open_tier(tmp_path, 0)
    put(tier, 1)
    assert held(tier) == set()
    assert tier.get_many([key(1)]) == {}


def test_many_threads_at_once_read_whole_blocks_within_the_budget(tier: Tier) -> None:
    wrong: list[object] = []

    def work(seed: int) -> None:
        try:
            for step in range(120):
                number = (seed * 7 + step * 3) % 16
                put(tier, number)
                for found, data in tier.get_many([key(n) for n in range(16)]).items():
                    if data != block(int.from_bytes(found, "big")):
                        wrong.append((found, data))
                if step % 5 == 0:
                    tier.remove_many([key((number + 1) % 16)])
                if (tier.num_bytes or 0) > 1000:
                    wrong.append(tier.num_bytes)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert tier.num_blocks in (None, len(tier.get_many([key(n) for n in range(16)])))
