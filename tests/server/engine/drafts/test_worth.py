"""Guesses are tried where the tokens that they bring come at less than what they cost otherwise."""

import pytest

from warmturn_server.engine.drafts.worth import MOST_DRAFTS, Always, WherePaying
from warmturn_server.engine.model.step_costs import StepCosts, measured_step_costs

CHEAP, FREE, DEAR = StepCosts(1.1, 1.3), StepCosts(1.0, 1.0), StepCosts(2.0, 8.0)


@pytest.mark.parametrize(
    ("costs", "rate", "num_sequences", "count"),
    [
        (CHEAP, 0.95, 1, 7),
        (CHEAP, 0.5, 1, 4),
        (CHEAP, 0.05, 1, 0),
        (CHEAP, 0.5, 8, 2),
        (CHEAP, 0.1, 8, 0),
        (FREE, 0.01, 1, 7),
        (DEAR, 0.99, 1, 0),
        (DEAR, 0.99, 8, 0),
    ],
)
def test_how_many(costs: StepCosts, rate: float, num_sequences: int, count: int) -> None:
    assert WherePaying(costs).count(rate, MOST_DRAFTS, num_sequences, num_sequences) == count


def test_never_more_than_there_are() -> None:
    assert WherePaying(FREE).count(1.0, 3, 1, 1) == Always(7).count(0.0, 3, 1, 1) == 3
    assert WherePaying(FREE).count(1.0, 0, 1, 1) == 0


def test_beside_a_long_prefill_a_guess_costs_little() -> None:
    assert WherePaying(CHEAP).count(0.2, 7, 513, 2) > WherePaying(CHEAP).count(0.2, 7, 2, 2)


def test_costs_lie_on_lines() -> None:
    assert [CHEAP.of(count) for count in (1, 2, 5, 8, 14)] == pytest.approx([1.0, 1.1, 1.2, 1.3, 1.5])


def test_a_busy_moment_decides_nothing() -> None:
    """The best of the tries counts, and that tells no more than the kind of machine."""
    hiccups = iter([0.0, 0.05, 0.02, 0.0, 0.0, 0.09])
    times = {1: 0.010, 8: 0.0158}
    usual = measured_step_costs(lambda size: times[size] + next(hiccups))
    assert (
        usual == measured_step_costs({1: 1.0, 8: 1.0}.__getitem__) == measured_step_costs({1: 1.0, 8: 2.4}.__getitem__)
    )
    assert usual.eight < measured_step_costs({1: 1.0, 8: 4.0}.__getitem__).eight
    assert WherePaying(measured_step_costs(lambda size: size)).count(0.99, 7, 1, 1) == 0
