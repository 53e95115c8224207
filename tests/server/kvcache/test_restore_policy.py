"""What is expected of a tier's speed, and that one bad moment does not decide for good."""

import pytest
from tests.support.state import LAYOUT, always, cache_over, filled_buffer, ram, token_ids

from warmturn_server.engine_api import MissReason
from warmturn_server.kvcache import Bandwidth, BlockMiss, PrefixMatch

MEGABYTE = 2**20


def test_what_is_unknown_is_tried() -> None:
    bandwidth = Bandwidth()
    assert bandwidth.seconds(MEGABYTE) == 0.0
    assert bandwidth.bytes_per_second is None


def test_it_follows_what_is_measured() -> None:
    bandwidth = Bandwidth()
    bandwidth.observe(MEGABYTE, 0.01)
    assert bandwidth.seconds(2 * MEGABYTE) == pytest.approx(0.02)
    for _ in range(50):
        bandwidth.observe(MEGABYTE, 0.1)
    assert bandwidth.seconds(MEGABYTE) == pytest.approx(0.1, rel=0.01)
    assert bandwidth.bytes_per_second == pytest.approx(10 * MEGABYTE, rel=0.01)


def test_nothing_restored_says_nothing() -> None:
    bandwidth = Bandwidth()
    bandwidth.observe(0, 5.0)
    assert bandwidth.bytes_per_second is None


def test_a_small_restore_says_nothing_about_a_large_one() -> None:
    """10 KB in a millisecond is fixed costs, not 10 MB a second."""
    bandwidth = Bandwidth()
    bandwidth.observe(10_000, 0.001)
    assert bandwidth.seconds(20_000) > 0
    assert bandwidth.seconds(100 * MEGABYTE) == 0.0


def test_one_slow_restore_is_forgotten_when_it_keeps_others_from_being_tried() -> None:
    bandwidth = Bandwidth()
    bandwidth.observe(MEGABYTE, 10.0)
    passed_over = 0
    while bandwidth.seconds(MEGABYTE) > 0.1:
        bandwidth.doubt()
        passed_over += 1
    assert 10 < passed_over < 100


def test_what_is_slower_to_restore_is_passed_over_with_a_reason_until_that_is_no_longer_believed() -> None:
    cache = cache_over(ram())
    cache.save("", token_ids(9), filled_buffer(9).snapshot(), always)
    match = cache.match("", token_ids(9)).beyond(4)
    cache.bandwidth["ram"].observe(9 * LAYOUT.bytes_per_token, 9.0)
    asked: list[tuple[int, int]] = []

    def compute_seconds(num_tokens: int, context: int) -> float:
        asked.append((num_tokens, context))
        return 4.0

    passed = cache.passed_over(match, 4, compute_seconds)
    assert passed is not None
    assert asked == [(5, 4)]
    assert passed.expected_seconds == pytest.approx(5.0)
    assert passed.block_miss == BlockMiss(MissReason.RECOMPUTE_FASTER, match.spans[0].key, "ram")
    assert cache.restore_seconds(match) == pytest.approx(4.5)
    assert cache.passed_over(match, 4, compute_seconds) is not None
    assert cache.passed_over(match, 4, compute_seconds) is not None
    assert cache.passed_over(match, 4, compute_seconds) is None
    assert cache.restore_seconds(match) == pytest.approx(5 * 0.9**3), "and nothing is doubted for that"


def test_nothing_to_restore_and_a_speed_that_nobody_knows_are_not_passed_over() -> None:
    cache = cache_over(ram())
    assert cache.passed_over(PrefixMatch(), 0, lambda *_: 0.0) is None
    cache.save("", token_ids(9), filled_buffer(9).snapshot(), always)
    cache.bandwidth["ram"].observe(9 * LAYOUT.bytes_per_token, 9.0)
    assert cache.passed_over(cache.match("", token_ids(9)), 0, lambda *_: None) is None
