"""Promise 5: what a turn says it saved, on machines whose times are made up and therefore known."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.controls import audited, controls_of
from tests.support.engines import greedy, running_engine
from tests.support.machine import Machine
from tests.support.models import TinyModels
from tests.support.reference import random_ids

from warmturn_server.engine import Engine, ModelRunner, Work, accounting, loop, sequence
from warmturn_server.engine.audit import replays
from warmturn_server.engine.model import calibration, runner
from warmturn_server.engine.model.effort import Effort
from warmturn_server.engine_api import ReuseMode, TurnReport

REPLY = 3
QUIET = Machine(noise=0.05)
BUSY = Machine(slower=6, noise=0.25, hiccups=0.05)
STEADILY_BUSY = Machine(slower=6, noise=0.1)


class Simulated:
    """The engine's clock: it stands still but for forward passes, which take what the present `machine` needs."""

    def __init__(self, patch: pytest.MonkeyPatch, seed: int) -> None:
        self.machine = QUIET
        self._now = 1000.0
        self._chance = random.Random(seed)
        forward = ModelRunner.forward

        def timed(model: ModelRunner, step: list[Work]) -> Any:
            effort = Effort.of_step([(len(work.token_ids), work.buffer.length) for work in step])
            self._now += self.machine.takes(effort, self._chance)
            return forward(model, step)

        patch.setattr(ModelRunner, "forward", timed)
        patch.setattr(runner, "pair_cost", lambda *_: Machine.pair_cost)
        for module in (accounting, loop, sequence, replays):
            patch.setattr(module, "now", self.now)
        patch.setattr(calibration, "time", SimpleNamespace(perf_counter=self.now))

    def now(self) -> float:
        return self._now

    def pass_by(self, seconds: float) -> None:
        self._now += seconds


Start = Callable[..., Engine]


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Simulated:
    return Simulated(monkeypatch, getattr(request, "param", 0))


@pytest.fixture
def start(tiny_models: TinyModels, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as engines:

        def started(**settings: object) -> Engine:
            return engines.enter_context(running_engine(tiny_models(), tmp_path, prefill_budget=512, **settings))

        yield started


def report_of(engine: Engine, prompt: tuple[int, ...], reuse: ReuseMode = ReuseMode.STATE) -> TurnReport:
    return engine.generate(greedy(prompt, REPLY, reuse)).report


def test_a_few_tokens_reused_on_a_machine_that_became_slow_are_no_loss(simulated: Simulated, start: Start) -> None:
    """It said that 6 of 1,284 tokens lost 2.58 s: the second was busy, whatever was reused."""
    engine = start()
    shared = random_ids(random.Random(1), 6)
    report_of(engine, shared + random_ids(random.Random(2), 200))
    simulated.machine = STEADILY_BUSY
    report = report_of(engine, shared + random_ids(random.Random(3), 1278))
    assert (report.cached_tokens, report.prefilled_tokens) == (6, 1278)
    assert report.prefill_ms is not None and report.recompute_ms is not None and report.saved_ms is not None
    assert report.prefill_ms > 1000 * 3 * QUIET.expected(1284)
    assert 0 <= report.saved_ms < 0.03 * report.prefill_ms


@pytest.mark.parametrize("now", [QUIET, STEADILY_BUSY], ids=["quiet", "busy"])
def test_nothing_reused_is_nothing_saved_and_nothing_lost(simulated: Simulated, start: Start, now: Machine) -> None:
    engine = start()
    simulated.machine = now
    report = report_of(engine, random_ids(random.Random(1), 300))
    assert (report.cached_tokens, report.saved_ms, report.recompute_source) == (0, 0.0, "measured")


def test_the_first_turn_after_the_machine_became_slow_is_priced_at_its_pace_or_not_at_all(
    simulated: Simulated, start: Start
) -> None:
    engine = start()
    talk = random_ids(random.Random(1), 1000)
    report_of(engine, talk)
    simulated.machine = STEADILY_BUSY
    report = report_of(engine, talk + random_ids(random.Random(2), 40))
    if report.saved_ms is not None:
        assert report.saved_ms == pytest.approx(1000 * STEADILY_BUSY.expected(1000), rel=0.5)


def conversation(engine: Engine, seed: int) -> Iterator[tuple[TurnReport, TurnReport]]:
    """Every turn on saved state and then once more in full, from the tenth on, as prompts grow to five lengths."""
    chance = random.Random(seed)
    prompt = random_ids(chance, 150)
    for turn in range(1, 15):
        prompt += random_ids(chance, 30 if turn < 10 else 300)
        state = report_of(engine, prompt)
        if turn >= 10:
            yield state, report_of(engine, prompt, ReuseMode.PROMPT)


@pytest.mark.slow
@pytest.mark.parametrize("simulated", range(2), indirect=True)
@pytest.mark.parametrize(
    ("first", "then"),
    [(BUSY, QUIET), (QUIET, STEADILY_BUSY), (QUIET, QUIET)],
    ids=["busy-quiet", "quiet-busy", "quiet"],
)
def test_from_the_tenth_turn_on_estimates_are_within_30_percent_of_what_is_measured(
    simulated: Simulated, start: Start, first: Machine, then: Machine
) -> None:
    simulated.machine = first
    engine = start()
    simulated.machine = then
    lengths = list(conversation(engine, seed=1))
    assert len(lengths) == 5
    for state, full in lengths:
        assert state.recompute_source == "estimated"
        assert state.recompute_ms is not None and state.recompute_ms_ci95 is not None
        assert full.prefill_ms == pytest.approx(state.recompute_ms, rel=0.3)


def test_what_a_control_turn_measures_later_is_compared_with_reuse_at_that_later_time(
    simulated: Simulated, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turns ran on a busy machine, their recomputation on an idle one: the difference is no loss of reuse."""
    engine = start(control_rate=1.0, control_seed=1)
    measured = list[float]()
    monkeypatch.setattr(engine._controls.observer, "_saving_measured", measured.append)
    talk = random_ids(random.Random(1), 600)
    report_of(engine, talk)
    simulated.machine = STEADILY_BUSY
    for seed in (2, 3):
        answer = report_of(engine, talk + random_ids(random.Random(seed), 400))
        assert answer.prefill_ms is not None and answer.prefill_ms > 1000 * QUIET.expected(1000)
    simulated.machine = QUIET
    simulated.pass_by(10)
    audited(engine, 2)
    spared = QUIET.expected(1000) - QUIET.expected(400, 600)
    assert measured == pytest.approx([spared, spared], rel=0.3)
    controls = controls_of(engine)["controls"]
    assert controls["measured_turns"] == 2
    assert abs(controls["estimate_bias_seconds"]["value"]) < 0.3 * spared
