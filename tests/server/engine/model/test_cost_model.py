"""What a prefill is expected to take, and how sure that is."""

import math
import random
from collections.abc import Iterator

import pytest
from tests.server.engine.conftest import StartEngine
from tests.support.engines import greedy
from tests.support.machine import Machine
from tests.support.reference import Reference, random_ids

from warmturn_server.engine import CostModel
from warmturn_server.engine.model.effort import Effort
from warmturn_server.engine_api import MissReason
from warmturn_server.kvcache import RestorePolicy

MACHINES = {"this CPU": Machine(), "a lean CPU": Machine(step_tokens=20, attention=1.0), "a GPU": Machine(3000, 2.0)}


def learned(machine: Machine, budget: int = 512) -> CostModel:
    model = machine.calibrated(budget)
    for num_tokens in (8, 32, 128, 512):
        for context in (0, 512, 2048):
            model.observe(num_tokens, context, machine.prefill(num_tokens, context))
    return model


def test_nothing_is_known_before_the_first_measurement() -> None:
    model = CostModel(512, 4e-4)
    assert (model.seconds(100), model.estimate(model.effort(100)), model.relative_error) == (None, None, None)


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES.keys())
@pytest.mark.parametrize(("num_tokens", "context"), [(1, 0), (100, 0), (512, 3000), (300, 1000), (4000, 0)])
def test_it_finds_the_law_behind_the_measurements(machine: Machine, num_tokens: int, context: int) -> None:
    model = learned(machine)
    assert model.seconds(num_tokens, context) == pytest.approx(machine.expected(num_tokens, context), rel=0.15)
    assert model.relative_error == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES.keys())
def test_it_finds_how_many_tokens_a_step_is_worth(machine: Machine) -> None:
    fixed = machine.expected(1, 0)
    a_token = (machine.expected(512, 0) - fixed) / 511
    assert learned(machine).step_tokens() == pytest.approx(fixed / a_token, rel=0.6)


def test_a_long_prefill_is_priced_in_the_chunks_it_is_computed_in() -> None:
    machine = Machine()
    chunks = sum(machine.expected(100, start) for start in range(0, 1000, 100))
    assert learned(machine, budget=100).seconds(1000) == pytest.approx(chunks, rel=0.1)


def test_no_tokens_take_no_time() -> None:
    assert learned(Machine()).seconds(0) == 0.0


def test_more_tokens_never_cost_less() -> None:
    """Whatever nonsense was measured."""
    chance = random.Random(3)
    for _ in range(20):
        model = CostModel(512, 4e-4)
        for _ in range(6):
            model.observe(chance.randrange(1, 512), chance.randrange(2048), chance.uniform(0.001, 0.1))
        costs = [model.seconds(count) or 0.0 for count in (1, 10, 100, 1000, 4000)]
        assert costs == sorted(costs)


def test_two_short_prefills_of_a_busy_machine_price_no_long_one_at_minutes() -> None:
    """A law fitted through them said 657 s."""
    model = CostModel(512, 4e-4)
    model.observe(8, 0, 0.1)
    model.observe(32, 0, 2.2)
    estimate = model.estimate(model.effort(610))
    assert estimate is not None
    assert not estimate.trusted
    assert 2.2 < estimate.seconds < 30


def test_a_hiccup_decides_nothing() -> None:
    machine = Machine()
    model = learned(machine)
    before = model.seconds(1000)
    model.observe(30, 1000, 50 * machine.expected(30, 1000))
    assert model.seconds(1000) == pytest.approx(before, rel=0.05)
    assert model.estimate(model.effort(1000)).trusted  # type: ignore[union-attr]


def test_what_was_never_seen_has_a_wider_interval_than_what_was() -> None:
    """Ten prefills of 30 tokens do not say what a step costs and what a token."""
    model, machine = CostModel(512, 4e-4), Machine()
    for _ in range(10):
        model.observe(30, 100, machine.prefill(30, 100))
    assert width(model, model.effort(30, 100)) < 1.5 < 3 < width(model, model.effort(2000))


def width(model: CostModel, effort: Effort) -> float:
    """Of the interval, as a ratio."""
    estimate = model.estimate(effort)
    assert estimate is not None
    return estimate.high / estimate.low


@pytest.mark.parametrize("factor", [1 / 3, 3])
def test_at_the_moment_of_a_turn_its_own_pace_counts(factor: float) -> None:
    """A short one may have been a hiccup, so that it counts for little, but the interval holds both."""
    machine = Machine()
    model, whole = learned(machine), Effort.of(600, 0, 512)
    usual = model.estimate(whole)
    short = model.estimate(whole, Effort.of(30, 600, 512), factor * machine.expected(30, 600))
    long = model.estimate(whole, Effort.of(600, 600, 512), factor * machine.expected(600, 600))
    assert usual is not None and short is not None and long is not None
    assert usual.seconds == pytest.approx(machine.expected(600), rel=0.1)
    assert short.seconds == pytest.approx(usual.seconds, rel=0.2)
    assert short.low < min(1, factor) * usual.seconds < max(1, factor) * usual.seconds < short.high
    assert long.seconds == pytest.approx(factor**0.6 * usual.seconds, rel=0.2)
    assert long.high / long.low < short.high / short.low


SEEDS = range(20)
BUSY, QUIET = Machine(slower=5, noise=0.35, hiccups=0.1), Machine(noise=0.05)


def tenth_turns(start: Machine, then: Machine) -> Iterator[tuple[float, bool, bool]]:
    """For each seed: by which factor the tenth turn's estimate is off, whether it is told, and holds the truth."""
    for seed in SEEDS:
        chance = random.Random(seed)
        model = start.calibrated(512, chance)
        context = 600
        for _ in range(10):
            count = chance.randrange(15, 60)
            seconds = then.prefill(count, context, chance)
            model.observe(count, context, seconds)
            context += count + 30
        num_tokens = context - 30
        spared = model.effort(num_tokens) - model.effort(count, num_tokens - count)
        estimate = model.estimate(spared, model.effort(count, num_tokens - count), seconds)
        assert estimate is not None
        true = then.expected(num_tokens) - then.expected(count, num_tokens - count)
        yield estimate.seconds / true, estimate.trusted, estimate.low <= true <= estimate.high


@pytest.mark.parametrize(("start", "then"), [(BUSY, QUIET), (QUIET, QUIET)], ids=["busy then quiet", "quiet"])
def test_by_the_tenth_turn_of_a_quiet_machine_the_estimate_is_within_30_percent(start: Machine, then: Machine) -> None:
    found = list(tenth_turns(start, then))
    assert sum(abs(factor - 1) < 0.3 for factor, *_ in found) >= 0.9 * len(found)
    assert sum(trusted for _, trusted, _ in found) >= 0.9 * len(found)
    assert sum(covered for *_, covered in found) >= 0.9 * len(found)


def test_a_machine_that_became_five_times_slower_is_followed_too() -> None:
    steady = Machine(slower=5, noise=0.05)
    assert all(abs(factor - 1) < 0.3 and trusted for factor, trusted, _ in tenth_turns(QUIET, steady))


def test_on_a_machine_whose_pace_jumps_about_an_estimate_is_right_in_its_interval_or_not_told() -> None:
    found = list(tenth_turns(QUIET, BUSY))
    assert sum(covered for *_, covered in found) >= 0.9 * len(found)
    assert math.prod(factor for factor, *_ in found) ** (1 / len(found)) == pytest.approx(1, abs=0.3)
    assert not all(trusted for _, trusted, _ in found)


def test_restoring_is_skipped_where_computing_is_faster_and_told(
    start_engine: StartEngine, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start_engine()
    first, second = reference.conversation(2, user_tokens=20, reply_tokens=8)
    engine.generate(greedy(first.prompt, 8))
    engine.flush()
    engine.evict_idle()
    with monkeypatch.context() as slow:
        slow.setattr(RestorePolicy, "restore_seconds", lambda *_: 1e6)
        answer = engine.generate(greedy(second.prompt, 8, known_tokens=len(first.token_ids) - 1))
    assert answer.token_ids == second.reply
    assert (answer.report.cached_tokens, answer.report.prefilled_tokens) == (0, len(second.prompt))
    assert answer.report.miss is not None
    assert (answer.report.miss.at_token, answer.report.miss.reason) == (0, MissReason.RECOMPUTE_FASTER)


def test_what_was_saved_is_an_estimate_unless_it_was_measured(start_engine: StartEngine) -> None:
    engine = start_engine()
    prompt = random_ids(random.Random(0), 60)
    first = engine.generate(greedy(prompt, 4)).report
    assert (first.recompute_source, first.saved_ms, first.saved_ms_ci95) == ("measured", 0.0, None)
    again = engine.generate(greedy(prompt, 4)).report
    if again.recompute_ms is None:  # where the machine's pace jumps about
        assert (again.recompute_source, again.saved_ms, again.saved_ms_ci95) == (None, None, None)
        return
    assert (again.recompute_source, again.recompute_ms_ci95 is None) == ("estimated", False)
    assert again.prefill_ms is not None and again.saved_ms is not None and again.saved_ms_ci95 is not None
    assert again.saved_ms == pytest.approx(again.recompute_ms - again.restore_ms - again.prefill_ms)
    assert again.saved_ms_ci95[0] <= again.saved_ms <= again.saved_ms_ci95[1]
