"""Promise 5: control turns are really computed from scratch, in nobody's way, and say what that cost."""

import dataclasses
import queue
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.controls import audited, controls_of
from tests.support.engines import greedy, running_engine
from tests.support.models import TinyModels
from tests.support.reference import random_ids
from tests.support.steps import Steps
from tests.support.waiting import wait_until

from warmturn_server.engine import Engine
from warmturn_server.engine.audit import replays
from warmturn_server.engine.audit.control import MAX_BACKLOG
from warmturn_server.engine_api import Generated, TokenDelta
from warmturn_server.kvcache import PrefixCache, Restored

PROMPT = random_ids(random.Random(1), 200)
MORE = random_ids(random.Random(2), 10)
OTHER = random_ids(random.Random(3), 40)
REPLY = 8


@contextmanager
def controlled(model: Path, folder: Path, mode: str = "shadow", **settings: object) -> Iterator[Engine]:
    with running_engine(model, folder, control_rate=1.0, control_mode=mode, control_seed=1, **settings) as engine:
        yield engine


@pytest.fixture
def _never_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "QUIET_SECONDS", 1e6)


def say(engine: Engine, prompt: tuple[int, ...]) -> Generated:
    return engine.generate(greedy(prompt, REPLY))


def two_turns(engine: Engine) -> tuple[Generated, Generated]:
    first = say(engine, PROMPT)
    return first, say(engine, PROMPT + first.token_ids + MORE)


def test_a_shadow_changes_nothing_of_the_turn_and_measures_it_afterwards(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    with running_engine(tiny_models(), tmp_path / "plain") as engine:
        expected = [answer.token_ids for answer in two_turns(engine)]
    with controlled(tiny_models(), tmp_path / "shadow") as engine:
        first, second = two_turns(engine)
        assert [first.token_ids, second.token_ids] == expected
        assert first.report.control is None, "it had nothing to reuse"
        assert second.report.control is not None
        assert second.report.control.mode == "shadow"
        assert second.report.cached_by_tier["resident"] == len(PROMPT) + REPLY - 1
        assert audited(engine)["clean"] == 1
        controls = controls_of(engine)["controls"]
        assert controls["turns"] == {"shadow": 1}
        assert controls["saved_seconds"]["ci95"] is None, "one control turn says nothing about its own precision"
        assert controls["cost_seconds"]["shadow"] > 0


def test_a_replaced_turn_is_computed_from_scratch_and_says_so(tiny_models: TinyModels, tmp_path: Path) -> None:
    with running_engine(tiny_models(), tmp_path / "plain") as engine:
        expected = [answer.token_ids for answer in two_turns(engine)]
    with controlled(tiny_models(), tmp_path / "replace", "replace") as engine:
        first, second = two_turns(engine)
        assert [first.token_ids, second.token_ids] == expected
        report = second.report
        assert (report.reuse, report.cached_tokens, report.miss) == ("prompt", 0, None)
        assert report.prefilled_tokens == report.prompt_tokens
        assert report.control is not None
        assert report.control.foregone_tokens == len(PROMPT) + REPLY - 1
        assert report.control.cost_ms is not None
        assert report.as_dict()["control"] == {
            **dataclasses.asdict(report.control),
            "cost_ms": round(report.control.cost_ms, 3),
        }
        assert audited(engine)["clean"] == 1
        controls = controls_of(engine)["controls"]
        assert controls["turns"] == {"replace": 1}
        assert controls["cost_seconds"]["replace"] == pytest.approx(report.control.cost_ms / 1000)


def test_real_work_goes_first_and_never_shares_a_step_with_a_replay(
    tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with controlled(tiny_models(), tmp_path) as engine:
        two_turns(engine)
        steps = Steps(monkeypatch)
        steps.hold()
        wait_until(lambda: engine._loop._hook.sequences, "no control turn began")
        deltas = asked(engine, OTHER)
        steps.go_on()
        assert num_tokens(deltas) == REPLY
        audited(engine)
    buffer = next(item.buffer for step in steps.seen for item in step if item.token_ids == OTHER[:16])
    real = [number for number, (item,) in enumerate(steps.seen) if item.buffer == buffer]
    replayed = [number for number in range(len(steps.seen)) if number not in real]
    assert min(real) <= 1, "at most the chunk that had begun is waited for"
    assert real == list(range(min(real), max(real) + 1)), "no chunk in between"
    assert replayed[-1] > max(real)


def asked(engine: Engine, prompt: tuple[int, ...]) -> "queue.SimpleQueue[TokenDelta | BaseException]":
    """A turn that is queued now, and where its deltas will be."""
    deltas: queue.SimpleQueue[TokenDelta | BaseException] = queue.SimpleQueue()
    engine._accept(greedy(prompt, REPLY), deltas.put)
    return deltas


def num_tokens(deltas: "queue.SimpleQueue[TokenDelta | BaseException]") -> int:
    """How many there are at the end."""
    count = 0
    while True:
        delta = deltas.get(timeout=60)
        assert isinstance(delta, TokenDelta)
        count += len(delta.token_ids)
        if delta.finish is not None:
            return count


def test_a_replay_gives_its_memory_back_as_soon_as_a_turn_needs_it(
    tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "_SHARE_OF_MEMORY", 1)
    with controlled(tiny_models(), tmp_path, kv_memory=768 * 320) as engine:
        two_turns(engine)
        steps = Steps(monkeypatch)
        steps.hold()
        wait_until(lambda: engine._loop._hook.sequences, "no control turn began")
        deltas = asked(engine, random_ids(random.Random(9), 250))
        steps.go_on()
        assert num_tokens(deltas) == REPLY
        assert audited(engine)["clean"] == 1, "it begins anew afterwards"


@pytest.mark.usefixtures("_never_idle")
def test_a_replay_waits_until_the_machine_was_quiet_for_a_while(tiny_models: TinyModels, tmp_path: Path) -> None:
    with controlled(tiny_models(), tmp_path) as engine:
        two_turns(engine)
        engine.evict_idle()  # goes through the engine's inbox, and so behind the turn's end
        assert engine._loop.idle_in() == pytest.approx(replays.QUIET_SECONDS, abs=60)
        assert engine._loop._hook.sequences == []


@pytest.mark.usefixtures("_never_idle")
def test_the_backlog_is_bounded_and_what_it_drops_is_counted(tiny_models: TinyModels, tmp_path: Path) -> None:
    with controlled(tiny_models(), tmp_path) as engine:
        history = PROMPT + say(engine, PROMPT).token_ids
        for _ in range(MAX_BACKLOG + 3):
            answer = say(engine, history + MORE)
            history += MORE + answer.token_ids
        assert answer.report.control is None
        assert engine.num_controls_waiting == MAX_BACKLOG
        assert controls_of(engine)["controls"]["dropped"] == {"backlog": 3}
        assert audited_now(engine) == 0


def audited_now(engine: Engine) -> int:
    audits = controls_of(engine)["audits"]
    return int(audits["clean"] + audits["breach"])


@pytest.mark.usefixtures("_never_idle")
@pytest.mark.parametrize("mode", ["shadow", "replace"])
def test_what_was_deleted_is_not_computed_again(tiny_models: TinyModels, tmp_path: Path, mode: str) -> None:
    with controlled(tiny_models(), tmp_path, mode) as engine:
        first, second = two_turns(engine)
        assert engine.num_controls_waiting == 1
        engine.forget("", PROMPT + first.token_ids + MORE + second.token_ids)
        assert engine.num_controls_waiting == 0
        engine.flush()
        assert list(tmp_path.rglob("*.kv")) == []


@pytest.mark.usefixtures("_never_idle")
def test_a_control_turn_that_only_shares_what_is_kept_still_waits(tiny_models: TinyModels, tmp_path: Path) -> None:
    with controlled(tiny_models(), tmp_path) as engine:
        two_turns(engine)
        engine.forget("", PROMPT + OTHER, keep_tokens=len(PROMPT))
        engine.forget("somebody else", PROMPT)
        assert engine.num_controls_waiting == 1
        engine.forget("", PROMPT + OTHER, keep_tokens=len(PROMPT) - 1)
        assert engine.num_controls_waiting == 0
        assert controls_of(engine)["controls"]["dropped"] == {"deleted": 1}


@pytest.mark.usefixtures("_never_idle")
def test_a_seed_draws_the_same_turns_again(tiny_models: TinyModels, tmp_path: Path) -> None:
    def drawn(folder: str, seed: int) -> list[bool]:
        settings = {"control_rate": 0.5, "control_seed": seed}
        with running_engine(tiny_models(), tmp_path / folder, **settings) as engine:
            say(engine, OTHER)
            return [say(engine, OTHER).report.control is not None for _ in range(12)]

    first = drawn("a", 1)
    assert first == drawn("b", 1)
    assert first != drawn("c", 2)
    assert any(first) and not all(first)


@pytest.mark.usefixtures("restoring_always_wins")
def test_no_replay_runs_while_a_turns_state_is_on_its_way(
    tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is ready to run then, and yet somebody waits."""
    monkeypatch.setattr(replays, "QUIET_SECONDS", 0.0)
    arrived, go_on, restore = threading.Event(), threading.Event(), PrefixCache.restore

    def slow(self: PrefixCache, *given: Any) -> Restored:
        arrived.set()
        assert go_on.wait(60)
        return restore(self, *given)

    with controlled(tiny_models(), tmp_path) as engine:
        first, second = two_turns(engine)
        engine.flush()
        engine.evict_idle()
        monkeypatch.setattr(PrefixCache, "restore", slow)
        steps = Steps(monkeypatch)
        deltas = asked(engine, PROMPT + first.token_ids + MORE + second.token_ids + MORE)
        assert arrived.wait(60)
        before = len(steps.seen)
        engine.evict_idle()  # goes once through the engine's inbox, and so through its loop
        engine.evict_idle()
        assert len(steps.seen) <= before + 1, "at most the chunk that had begun"
        go_on.set()
        assert num_tokens(deltas) == REPLY
