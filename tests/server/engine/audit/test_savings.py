"""The measured saving and its interval, on made-up turns whose true saving is known."""

import random

import pytest

from warmturn_server.engine import ControlledSavings, Interval


def simulated(seed: int, num_turns: int, rate: float, bias: float) -> tuple[ControlledSavings, float]:
    """Turns whose recomputation takes `bias` times what is expected, give or take a fifth; and the true saving."""
    chance, savings, truth = random.Random(seed), ControlledSavings(), 0.0
    for _ in range(num_turns):
        expected, reuse = chance.uniform(0.1, 2.0), chance.uniform(0.01, 0.3)
        real = expected * bias * chance.uniform(0.8, 1.2)
        savings.reused(expected - reuse)
        truth += real - reuse
        if chance.random() < rate:
            savings.controlled(real, expected)
    return savings, truth


@pytest.mark.parametrize("bias", [0.5, 1.0, 1.7])
def test_the_interval_holds_the_truth_as_often_as_it_says(bias: float) -> None:
    hits = 0
    for seed in range(400):
        savings, truth = simulated(seed, 200, 0.15, bias)
        saved = savings.saved
        assert saved is not None and saved.low is not None and saved.high is not None
        hits += saved.low <= truth <= saved.high
    assert 0.93 <= hits / 400 <= 1.0


def test_a_wrong_estimate_is_found_out() -> None:
    savings, truth = simulated(1, 2000, 0.2, 0.5)
    saved, bias = savings.saved, savings.bias
    assert saved is not None and bias is not None and bias.low is not None
    assert saved.value == pytest.approx(truth, rel=0.05)
    assert bias.low > 0, "the estimate promises too much"


def test_losses_are_negative() -> None:
    savings = ControlledSavings()
    for _ in range(10):
        savings.reused(-0.1)
    savings.controlled(1.0, 1.0)
    assert savings.saved is not None
    assert savings.saved.value == pytest.approx(-1.0)


def test_what_was_not_measured_is_unknown() -> None:
    savings = ControlledSavings()
    savings.reused(1.0)
    assert (savings.saved, savings.bias) == (None, None)
    savings.controlled(1.5, 1.0)
    assert savings.saved == Interval(1.5, None, None)
