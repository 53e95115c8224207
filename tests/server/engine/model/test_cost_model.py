"""What a prefill is expected to take."""

import random

import pytest
from tests.server.engine.conftest import StartEngine
from tests.support.engines import greedy
from tests.support.reference import Reference, random_ids

from warmturn_server.engine import CostModel
from warmturn_server.engine_api import MissReason
from warmturn_server.kvcache import RestorePolicy

FIXED, LINEAR, QUADRATIC = 0.004, 0.0005, 1e-7


def seconds(num_tokens: int, context: int) -> float:
    return FIXED + LINEAR * num_tokens + QUADRATIC * num_tokens * (context + num_tokens / 2)


def learned(noise: float = 0.0, budget: int = 512) -> CostModel:
    model, chance = CostModel(budget), random.Random(0)
    for num_tokens in (8, 32, 128, 512):
        for context in (0, 512, 2048):
            for _ in range(3):
                model.observe(num_tokens, context, seconds(num_tokens, context) * (1 + chance.uniform(-noise, noise)))
    model.fit()
    return model


def test_nothing_is_known_before_the_first_measurement() -> None:
    assert CostModel(512).seconds(100) is None
    assert CostModel(512).relative_error is None


@pytest.mark.parametrize(("num_tokens", "context"), [(1, 0), (100, 0), (512, 4000), (300, 1000)])
def test_it_finds_the_law_behind_the_measurements(num_tokens: int, context: int) -> None:
    assert learned().seconds(num_tokens, context) == pytest.approx(seconds(num_tokens, context), rel=0.01)
    assert learned().relative_error == pytest.approx(0, abs=1e-6)


def test_noise_is_averaged_out_and_told_as_error() -> None:
    model = learned(noise=0.2)
    assert model.seconds(1000, 0) == pytest.approx(learned().seconds(1000, 0), rel=0.15)
    assert model.relative_error is not None
    assert 0.01 < model.relative_error < 0.2


def test_a_long_prefill_is_priced_in_the_chunks_it_is_computed_in() -> None:
    chunks = sum(seconds(100, start) for start in range(0, 1000, 100))
    assert learned(budget=100).seconds(1000) == pytest.approx(chunks, rel=0.01)


def test_no_tokens_take_no_time() -> None:
    assert learned().seconds(0) == 0.0


def test_more_tokens_never_cost_less() -> None:
    """Whatever nonsense was measured."""
    chance = random.Random(3)
    for _ in range(20):
        model = CostModel(512)
        for _ in range(6):
            model.observe(chance.randrange(1, 512), chance.randrange(2048), chance.uniform(0.001, 0.1))
        model.fit()
        costs = [model.seconds(count) or 0.0 for count in (1, 10, 100, 1000, 4000)]
        assert costs == sorted(costs)


def test_it_follows_a_machine_that_became_slower() -> None:
    model = learned()
    for _ in range(600):
        model.observe(100, 0, 3 * seconds(100, 0))
    assert model.seconds(100) == pytest.approx(3 * seconds(100, 0), rel=0.05)


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
    assert (first.recompute_source, first.saved_ms) == ("measured", 0.0)
    again = engine.generate(greedy(prompt, 4)).report
    assert again.recompute_source == "estimated"
    assert again.recompute_ms is not None
    assert again.prefill_ms is not None
    assert again.saved_ms == pytest.approx(again.recompute_ms - again.restore_ms - again.prefill_ms)
