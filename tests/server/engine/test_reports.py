"""Promise 4: every prompt token is accounted for, and where reuse stopped early the turn says why."""

import asyncio
import errno
import json
import os
import random
from pathlib import Path

import pytest
from tests.server.engine.conftest import StartEngine
from tests.support.engines import all_at_once, collect, greedy
from tests.support.reference import Reference, Turn, random_ids
from tests.support.steps import Steps

from warmturn_server.engine import Engine
from warmturn_server.engine_api import Generated, MissReason, ReuseMode

FIELDS = {
    "reuse",
    "prompt_tokens",
    "cached_tokens",
    "prefilled_tokens",
    "cached_by_tier",
    "queue_ms",
    "restore_ms",
    "prefill_ms",
    "ttft_ms",
    "decode_ms_per_token",
    "recompute_ms",
    "recompute_ms_ci95",
    "recompute_source",
    "saved_ms",
    "saved_ms_ci95",
    "miss",
    "control",
    "ahead_tokens",
    "executor",
    "drafts",
}


pytestmark = pytest.mark.usefixtures("restoring_always_wins")


@pytest.fixture(scope="module")
def turns(reference: Reference) -> list[Turn]:
    return reference.conversation(3, seed=77, user_tokens=20, reply_tokens=8)


def ask(engine: Engine, turns: list[Turn], number: int) -> Generated:
    known = len(turns[number - 1].token_ids) - 1 if number else 0
    answer = engine.generate(greedy(turns[number].prompt, 8, known_tokens=known))
    assert answer.token_ids == turns[number].reply
    report = answer.report
    assert report.cached_tokens + report.prefilled_tokens == report.prompt_tokens == len(turns[number].prompt)
    assert sum(report.cached_by_tier.values()) == report.cached_tokens
    return answer


def test_the_report_is_the_designs_and_fit_for_json(engine: Engine, turns: list[Turn]) -> None:
    report = ask(engine, turns, 0).report.as_dict()
    assert set(report) == FIELDS
    assert json.loads(json.dumps(report))["reuse"] == "state"


def test_times_add_up(engine: Engine) -> None:
    report = engine.generate(greedy(random_ids(random.Random(9), 60), 5)).report
    assert report.ttft_ms is not None
    assert report.prefill_ms is not None
    assert report.ttft_ms == pytest.approx(report.queue_ms + report.restore_ms + report.prefill_ms, abs=0.01)
    assert min(report.queue_ms, report.restore_ms, report.prefill_ms) >= 0


def test_what_cannot_be_known_is_none_and_not_zero(engine: Engine) -> None:
    report = engine.generate(greedy(random_ids(random.Random(8), 5), 1)).report
    assert report.decode_ms_per_token is None
    assert report.miss is None


def test_other_modes_reuse_nothing_save_nothing_and_miss_nothing(engine: Engine, turns: list[Turn]) -> None:
    for reuse in (ReuseMode.PROMPT, ReuseMode.NOTHING):
        report = engine.generate(greedy(turns[1].prompt, 3, reuse, known_tokens=20)).report
        assert (report.reuse, report.cached_tokens, report.saved_ms, report.miss) == (reuse, 0, 0.0, None)
        assert (report.recompute_source, report.recompute_ms_ci95, report.saved_ms_ci95) == ("measured", None, None)


def miss_of(answer: Generated) -> tuple[int, MissReason]:
    assert answer.report.miss is not None
    return answer.report.miss.at_token, answer.report.miss.reason


def test_state_that_was_evicted_is_called_evicted(start_engine: StartEngine, turns: list[Turn]) -> None:
    engine = start_engine(ram_cache=10_000, disk_cache=0)
    ask(engine, turns, 0)
    engine.flush()
    engine.evict_idle()
    at_token, reason = miss_of(ask(engine, turns, 1))
    assert reason is MissReason.EVICTED
    assert at_token < len(turns[0].token_ids) - 1


def test_state_that_never_was_is_called_not_found(start_engine: StartEngine, turns: list[Turn]) -> None:
    assert miss_of(ask(start_engine(), turns, 1)) == (0, MissReason.NOT_FOUND)


def test_no_space_left_costs_time_only_and_is_told(
    start_engine: StartEngine, turns: list[Turn], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start_engine(ram_cache=0)
    fail_writes(monkeypatch, errno.ENOSPC)
    for number in range(3):
        answer = ask(engine, turns, number)
        engine.flush()
        engine.evict_idle()
    assert miss_of(answer) == (0, MissReason.STORE_UNAVAILABLE)
    tiers = engine.stats()["tiers"]
    assert isinstance(tiers, dict)
    assert tiers["disk"]["available"] is True, "what it has can be read"


def test_a_disk_that_cannot_be_read_costs_time_only_and_is_told(
    start_engine: StartEngine, turns: list[Turn], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start_engine(ram_cache=0)
    ask(engine, turns, 0)
    engine.flush()
    engine.evict_idle()
    fail_writes(monkeypatch, errno.EIO)
    assert miss_of(ask(engine, turns, 1)) == (0, MissReason.STORE_UNAVAILABLE)
    assert ask(engine, turns, 2).report.cached_by_tier["resident"] == len(turns[1].token_ids) - 1


def fail_writes(monkeypatch: pytest.MonkeyPatch, error_number: int) -> None:
    """Whatever is opened for a block fails from now on."""
    really_open = os.open

    def fail(path: str | Path, *given: int, **named: int) -> int:
        if "/kv/" in str(path):
            raise OSError(error_number, os.strerror(error_number))
        return really_open(path, *given, **named)

    monkeypatch.setattr(os, "open", fail)


def test_conversations_share_the_beginning_they_have_in_common(start_engine: StartEngine) -> None:
    """The same system prompt: computed once, also when the first who has it is still running."""
    engine = start_engine()
    chance = random.Random(4)
    system = random_ids(chance, 41)
    prompts = [system + random_ids(chance, 6) for _ in range(4)]
    assert engine.generate(greedy(prompts[0], 3)).report.cached_tokens == 0
    assert engine.generate(greedy(prompts[1], 3)).report.cached_by_tier["resident"] == len(system)
    engine.flush()
    engine.evict_idle()
    assert engine.generate(greedy(prompts[2], 3)).report.cached_by_tier["ram"] == 40
    assert all_at_once(engine, [greedy(prompts[3], 3)])[0].report.cached_tokens >= 40


def test_another_tenants_running_turn_is_not_shared_from(start_engine: StartEngine) -> None:
    """Neither its tokens nor, through the time it saves, the fact that they exist."""
    engine = start_engine()
    prompt = random_ids(random.Random(6), 40)

    async def beside(tenant: str) -> Generated:
        running = engine.submit(greedy(prompt, 300, tenant="anna"))
        await anext(running)
        answer = await collect(engine, greedy(prompt, 2, tenant=tenant))
        running.cancel()
        async for _ in running:
            pass
        return answer

    assert asyncio.run(beside("bob")).report.cached_tokens == 0
    assert asyncio.run(beside("anna")).report.cached_tokens == len(prompt) - 1


@pytest.mark.parametrize(
    ("reuse", "computed"),
    [(ReuseMode.PROMPT, 30 + 4), (ReuseMode.NOTHING, 30 + 31 + 32 + 33 + 34)],
    ids=["prompt", "nothing"],
)
def test_each_mode_computes_what_its_name_says(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, reuse: ReuseMode, computed: int
) -> None:
    """The comparison would be worth nothing if the slow modes were quietly fast."""
    steps, prompt = Steps(monkeypatch), random_ids(random.Random(7), 30)
    engine.generate(greedy(prompt, 5))
    steps.seen.clear()
    engine.generate(greedy(prompt, 5, reuse))
    assert sum(item.num_tokens for step in steps.seen for item in step) == computed
