"""What is expected of a tier's speed, and that one bad moment does not decide for good."""

import pytest

from warmturn_server.kvcache import Bandwidth

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
