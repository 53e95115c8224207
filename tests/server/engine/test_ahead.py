"""What is expected is computed while nobody waits; it changes when a turn answers, never what, and leaves no trace."""

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engines import greedy, running_engine
from tests.support.models import TinyModels
from tests.support.steps import Steps
from tests.support.waiting import wait_until

from warmturn_server.engine import Engine, prepared
from warmturn_server.engine.ahead import hook
from warmturn_server.engine_api import AheadRequest, GenerationRequest, ReuseMode

HISTORY = tuple(range(10, 50))
EXPECTED = (*HISTORY[:24], *range(100, 140))
SENT = (*EXPECTED, *range(60, 66))
TURN = dataclasses.replace(greedy(SENT, 6), follows="conv")
EXPECTING = AheadRequest(EXPECTED, "conv", "reply", origin=HISTORY)
TYPING = dataclasses.replace(EXPECTING, cause="typing")


@pytest.fixture
def engine(tiny_models: TinyModels, tmp_path: Path) -> Iterator[Engine]:
    with running_engine(tiny_models(), tmp_path) as engine:
        engine.generate(greedy(HISTORY, 1))
        yield engine


def held(engine: Engine, follows: str = "conv") -> int | None:
    """Tokens that are prepared; None where there is nothing."""
    idle = engine._memory.pool.prepared("", follows)
    return len(idle.token_ids) if idle else None


def prepare(engine: Engine, request: AheadRequest = EXPECTING) -> None:
    engine.prepare(request)
    wait_until(lambda: held(engine) == len(request.token_ids) and not engine._ahead._waiting, "it is not prepared")


def scratch(engine: Engine, request: GenerationRequest = TURN) -> tuple[int, ...]:
    return engine.generate(dataclasses.replace(request, reuse=ReuseMode.PROMPT, follows="")).token_ids


def test_a_turn_computes_only_what_was_not_expected(engine: Engine) -> None:
    expected = scratch(engine)
    prepare(engine)
    answer = engine.generate(TURN)
    assert answer.token_ids == expected
    assert (answer.report.cached_tokens, answer.report.prefilled_tokens) == (len(EXPECTED), 6)
    assert answer.report.ahead_tokens == len(EXPECTED) - 24
    assert held(engine) is None


def test_what_it_cost_and_what_it_saved_is_counted(engine: Engine) -> None:
    counts = engine._accounts._observer._exposed.ahead  # type: ignore[attr-defined]
    prepare(engine)
    engine.generate(TURN)
    prepare(engine, dataclasses.replace(TYPING, token_ids=(*EXPECTED, 1, 2)))
    reply, typing = counts.snapshot()["reply"], counts.snapshot()["typing"]
    assert (reply["prompts"], reply["turns"], reply["computed_tokens"], reply["used_tokens"]) == (1, 1, 40, 40)
    assert reply["spent_seconds"] > 0
    assert (typing["prompts"], typing["turns"], typing["used_tokens"]) == (1, 0, 0)


def test_a_turn_that_comes_sooner_goes_on_from_what_is_there(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scratch(engine)
    steps = Steps(monkeypatch)
    steps.hold()
    engine.prepare(EXPECTING)
    wait_until(lambda: held(engine) == 24 or not engine._ahead._waiting, "it has not begun")
    answers: list[tuple[int, ...]] = []
    thread = threading.Thread(target=lambda: answers.append(engine.generate(TURN).token_ids))
    thread.start()
    wait_until(lambda: engine.num_waiting or not engine._inbox.empty, "the turn has not come")
    steps.go_on()
    thread.join(30)
    assert answers == [expected]
    assert held(engine) is None
    assert not engine._ahead._waiting


def test_an_edit_keeps_what_it_does_not_change(engine: Engine) -> None:
    prepare(engine, TYPING)
    edited = (*EXPECTED[:50], *range(200, 220))
    prepare(engine, dataclasses.replace(TYPING, token_ids=edited))
    sent = dataclasses.replace(TURN, token_ids=(*edited, 5))
    expected = scratch(engine, sent)
    answer = engine.generate(sent)
    assert (answer.token_ids, answer.report.prefilled_tokens) == (expected, 1)
    computed = engine._accounts._observer._exposed.ahead.snapshot()["typing"]["computed_tokens"]  # type: ignore[attr-defined]
    assert computed == 40 + len(edited) - 50


def test_a_turn_that_says_something_else_takes_what_both_begin_with(engine: Engine) -> None:
    prepare(engine, TYPING)
    other = dataclasses.replace(TURN, token_ids=(*EXPECTED[:40], 7, 8, 9))
    expected = scratch(engine, other)
    answer = engine.generate(other)
    assert (answer.token_ids, answer.report.cached_tokens, answer.report.ahead_tokens) == (expected, 40, 16)
    assert held(engine) is None


def test_what_is_prepared_is_saved_nowhere(tiny_models: TinyModels, tmp_path: Path) -> None:
    for _ in range(2):
        with running_engine(tiny_models(), tmp_path) as engine:
            found = engine.generate(greedy(SENT, 1)).report.cached_tokens if held(engine) else None
            prepare(engine, TYPING)
            engine.flush()
            blocks = {tier.name: tier.num_blocks for tier in engine._memory.cache.tiers}
            assert (found, blocks) == (None, {"ram": 0, "disk": 0})


def test_the_turn_that_was_expected_is_saved_as_sent(tiny_models: TinyModels, tmp_path: Path) -> None:
    with running_engine(tiny_models(), tmp_path) as engine:
        prepare(engine, TYPING)
        other = dataclasses.replace(TURN, token_ids=(*EXPECTED[:40], 7, 8, 9))
        said = engine.generate(other).token_ids
    with running_engine(tiny_models(), tmp_path) as engine:
        following = (*other.token_ids, *said, 1)
        assert engine.generate(greedy(following, 1)).report.cached_tokens == len(following) - 2
        engine.evict_idle()
        assert engine.generate(greedy(EXPECTED, 1)).report.cached_tokens == 40


@pytest.mark.parametrize("drop", ["abandoned", "unheard", "forgotten", "forgotten by name", "memory"])
def test_it_goes_when_nobody_can_want_it(engine: Engine, monkeypatch: pytest.MonkeyPatch, drop: str) -> None:
    prepare(engine, TYPING)
    if drop == "abandoned":
        engine.abandon("", "conv")
    elif drop == "unheard":
        monkeypatch.setattr(prepared, "UNHEARD_SECONDS", 0.0)
        monkeypatch.setattr(hook, "UNHEARD_SECONDS", 0.0)
    elif drop == "forgotten":
        engine.forget("", HISTORY, keep_tokens=30)
    elif drop == "forgotten by name":
        engine.forget_blocks("", engine.block_keys("", HISTORY, 30))
    else:
        engine.evict_idle()
    engine.generate(greedy(range(300, 310), 1))
    wait_until(lambda: held(engine) is None, "it is still there")


def test_forgetting_a_turn_takes_what_was_to_follow_on_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it was begun, too; what follows on another stays."""
    prepare(engine, TYPING)
    engine.forget("", range(400, 440))
    assert held(engine) == len(EXPECTED)
    monkeypatch.setattr(hook, "QUIET_SECONDS", 1e9)
    engine.prepare(dataclasses.replace(EXPECTING, follows="other"))
    wait_until(lambda: len(engine._ahead._waiting) == 1, "it does not wait")
    engine.forget("", HISTORY)
    assert not engine._ahead._waiting


def test_what_would_take_much_of_the_memory_is_not_begun(tiny_models: TinyModels, tmp_path: Path) -> None:
    with running_engine(tiny_models(), tmp_path) as engine:
        engine._memory.pool.budget_bytes = engine._memory.pool.bytes_for(len(EXPECTED)) * 3
        engine.prepare(EXPECTING)
        wait_until(lambda: engine._inbox.empty and not engine._ahead._waiting, "it still waits")
        assert held(engine) is None


def test_nobody_elses_turn_loses_or_takes_it(engine: Engine) -> None:
    prepare(engine)
    other = dataclasses.replace(TURN, follows="other conversation")
    assert engine.generate(other).token_ids == scratch(engine)
    assert held(engine) is None or held(engine) == len(EXPECTED)
    tenant = dataclasses.replace(TURN, tenant="somebody else")
    prepare(engine)
    assert engine.generate(tenant).report.cached_tokens == 0
