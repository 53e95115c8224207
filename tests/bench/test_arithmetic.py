"""Percentiles, arrivals, lengths, intervals: what the figures rest on."""

from itertools import islice, pairwise
from random import Random
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bench.making import recording, sample

from warmturn_bench.load import poisson_arrivals
from warmturn_bench.resampling import percentile
from warmturn_bench.sample import Asked, Reply, Sample
from warmturn_bench.stats import Pair, interval, pairs, percentiles, saved_over_time
from warmturn_bench.workload.scenario import SCENARIOS, Lengths


def test_percentiles_are_observed_values() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, p) for p in (1, 50, 90, 95, 99, 100)] == [1, 50, 90, 95, 99, 100]
    assert percentiles([3.0, 1.0, 2.0]) == {"p50": 2.0, "p90": 3.0, "p95": 3.0, "p99": 3.0}


def test_of_nothing_no_percentile_is_known() -> None:
    assert percentiles([]) == {"p50": None, "p90": None, "p95": None, "p99": None}


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_a_percentile_is_not_exceeded_by_so_many(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-6
    assert sum(value < found for value in values) < percent / 100 * len(values) + 1e-6


def test_arrivals_are_poisson_and_repeatable() -> None:
    arrivals = list(islice(poisson_arrivals(4.0, Random(7)), 20_000))
    assert arrivals == list(islice(poisson_arrivals(4.0, Random(7)), 20_000))
    assert arrivals != list(islice(poisson_arrivals(4.0, Random(8)), 20_000))
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert mean(gaps) == pytest.approx(0.25, rel=0.03)
    assert mean(gap**2 for gap in gaps) == pytest.approx(2 * 0.25**2, rel=0.08)  # exponential: no two alike
    assert min(gaps) > 0


def test_lengths_are_lognormal_within_bounds() -> None:
    rng = Random(1)
    drawn = [Lengths(100, 0.5, least=20, most=400).draw(rng) for _ in range(4000)]
    assert median(drawn) == pytest.approx(100, rel=0.05)
    assert (min(drawn), max(drawn)) == (20, 400)
    assert mean(drawn) > median(drawn)


def test_every_scenario_has_a_sentence_for_people() -> None:
    assert set(SCENARIOS) == {"chat", "long", "agent", "idle", "restart"}
    assert all(scenario.about.endswith(".") for scenario in SCENARIOS.values())


def test_times_count_from_when_a_turn_was_due_and_not_from_when_it_was_sent() -> None:
    asked = Asked("state", 0, 0, 0, due=2.0, sent=5.0)
    timed = Sample.of(asked, Reply("hi", (106.0, 106.25), ended=107.0), began=100.0)
    assert (timed.ttft_ms, timed.e2e_ms, timed.itl_ms, timed.ended) == (4000.0, 5000.0, (250.0,), 7.0)
    assert Sample.of(asked, Reply("", (), ended=107.0), began=100.0).ttft_ms == 5000.0


def test_only_turns_answered_both_ways_are_pairs() -> None:
    failed = Sample(sample("state", 2, 0, 1.0).asked, error="timeout")
    samples = [
        sample("state", 0, 0, 10.0, saved_ms=5.0),
        sample("prompt", 0, 0, 40.0),
        sample("state", 0, 1, 10.0),
        sample("prompt", 1, 0, 40.0),
        failed,
        sample("prompt", 2, 0, 40.0),
    ]
    (pair,) = pairs(samples)
    assert (pair.conversation, pair.estimated_seconds) == (0, 0.005)
    assert pair.saved_seconds == pytest.approx(0.03)


def test_a_loss_counts_as_negative() -> None:
    (pair,) = pairs([sample("state", 0, 0, 50.0), sample("prompt", 0, 0, 20.0)])
    assert pair.saved_seconds == pytest.approx(-0.03)


def _pairs(conversations: int, rng: Random) -> list[Pair]:
    """All turns of a conversation save alike: turns are anything but independent."""
    return [
        Pair(number, float(turn), 1.0, saved, None)
        for number in range(conversations)
        for saved in [rng.gauss(1.0, 0.5)]
        for turn in range(10)
    ]


def test_the_interval_is_repeatable_and_holds_the_measured_total() -> None:
    made = _pairs(12, Random(3))
    found = interval(made, seed=1)
    assert found == interval(made, seed=1)
    assert found is not None
    assert found.low < sum(pair.saved_seconds for pair in made) < found.high


def test_the_interval_is_as_wide_as_conversations_differ() -> None:
    """Over turns as if they were independent it would be three times too narrow: it covers the truth in time."""
    covered = 0
    for trial in range(60):
        found = interval(_pairs(20, Random(trial)), seed=trial)
        assert found is not None
        covered += found.low <= 20 * 10 * 1.0 <= found.high
    assert covered >= 50


def test_too_few_conversations_have_no_interval() -> None:
    assert interval(_pairs(4, Random(1)), seed=1) is None
    assert interval(_pairs(5, Random(1)), seed=1) is not None


def test_savings_add_up_in_order() -> None:
    made = pairs(recording().samples)
    course = saved_over_time(made, seed=1)
    assert course[-1].turns == len(made) == 30
    assert course[-1].measured == pytest.approx(sum(pair.saved_seconds for pair in made))
    assert course[-1].estimated == pytest.approx(0.3)
    assert course[-1].interval == interval(made, seed=1)
    assert saved_over_time([], seed=1) == []


def test_one_unknown_estimate_makes_the_sum_unknown() -> None:
    samples = [sample("state", 0, 0, 1.0, saved_ms=5.0), sample("state", 0, 1, 1.0), sample("prompt", 0, 0, 1.0)]
    samples.append(sample("prompt", 0, 1, 1.0))
    assert saved_over_time(pairs(samples), seed=1)[-1].estimated is None
