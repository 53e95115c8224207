"""Who is computed when: nobody waits for longer than a chunk, and memory decides who may begin."""

import asyncio
import random
from typing import Any

import pytest
from tests.server.engine.conftest import StartEngine
from tests.support.engines import all_at_once, collect, greedy
from tests.support.models import CONTEXT_LENGTH
from tests.support.reference import Reference, random_ids
from tests.support.steps import Steps

from warmturn_server.engine import Engine
from warmturn_server.engine_api import Generated, ReuseMode
from warmturn_server.errors import ContextLengthExceeded, InvalidRequest, Overloaded

BUDGET = 16
TOKENS_IN_MEMORY = 128


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


def ids(count: int, seed: int = 0) -> tuple[int, ...]:
    return random_ids(random.Random(seed), count)


def test_a_step_prefills_no_more_than_its_budget(engine: Engine, steps: Steps) -> None:
    all_at_once(engine, [greedy(ids(count, seed=count), 4, ReuseMode.PROMPT) for count in (100, 50, 40, 3)])
    for step in steps.seen:
        assert sum(item.num_tokens for item in step if item.num_tokens > 1) <= BUDGET


def test_whoever_decodes_gets_a_token_in_every_step(engine: Engine, steps: Steps) -> None:
    async def decode_beside_a_long_prompt() -> None:
        decoding = engine.submit(greedy(ids(5), 60, ReuseMode.PROMPT))
        await anext(decoding)
        steps.seen.clear()
        await collect(engine, greedy(ids(300, seed=1), 1, ReuseMode.PROMPT))
        decoding.cancel()
        async for _ in decoding:
            pass

    asyncio.run(decode_beside_a_long_prompt())
    prefills = [step for step in steps.seen if any(item.num_tokens > 1 for item in step)]
    assert len(prefills) >= 300 // BUDGET
    assert all(any(item.num_tokens == 1 for item in step) for step in prefills)


def test_an_event_loop_is_woken_once_a_step_for_all_its_generations(
    engine: Engine, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = 0

    async def decode_together() -> list[Generated]:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counted(*args: Any, **more: Any) -> asyncio.Handle:
            nonlocal woken
            woken += 1
            return wake(*args, **more)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        return await asyncio.gather(*(collect(engine, greedy(ids(5, seed=n), 20, ReuseMode.PROMPT)) for n in range(6)))

    answers = asyncio.run(decode_together())
    assert sum(len(answer.token_ids) for answer in answers) == 6 * 20
    assert woken <= len(steps.seen) < 3 * 20


@pytest.mark.parametrize("reuse", ReuseMode)
def test_a_short_prompt_does_not_wait_for_a_long_one(engine: Engine, steps: Steps, reuse: ReuseMode) -> None:
    async def long_then_short() -> list[str]:
        finished: list[str] = []

        async def run(name: str, prompt: tuple[int, ...]) -> None:
            await collect(engine, greedy(prompt, 1, reuse))
            finished.append(name)

        steps.hold()
        long = asyncio.create_task(run("long", ids(400, seed=2)))
        await asyncio.sleep(0.05)
        short = asyncio.create_task(run("short", ids(10, seed=3)))
        await asyncio.sleep(0.05)
        steps.go_on()
        await asyncio.gather(long, short)
        return finished

    assert asyncio.run(long_then_short()) == ["short", "long"]


def test_one_that_recomputes_everything_leaves_room_for_others(engine: Engine, steps: Steps) -> None:
    async def beside_nothing() -> None:
        recomputing = engine.submit(greedy(ids(200, seed=4), 50, ReuseMode.NOTHING))
        await anext(recomputing)
        steps.seen.clear()
        await collect(engine, greedy(ids(10, seed=5), 5, ReuseMode.PROMPT))
        recomputing.cancel()
        async for _ in recomputing:
            pass

    asyncio.run(beside_nothing())
    assert len(steps.seen) < 40


def test_what_does_not_fit_waits_and_is_answered(start_engine: StartEngine, reference: Reference) -> None:
    engine = start_engine(kv_memory=TOKENS_IN_MEMORY * bytes_per_token(start_engine()))
    turns = [reference.conversation(1, seed=seed, user_tokens=80, reply_tokens=10)[0] for seed in range(5)]
    answers = all_at_once(engine, [greedy(turn.prompt, 10) for turn in turns])
    assert [answer.token_ids for answer in answers] == [turn.reply for turn in turns]
    assert answers[-1].report.queue_ms > 0


def test_two_that_fit_run_together(start_engine: StartEngine, steps: Steps) -> None:
    engine = start_engine(kv_memory=2 * TOKENS_IN_MEMORY * bytes_per_token(start_engine()))
    steps.seen.clear()
    all_at_once(engine, [greedy(ids(30, seed=seed), 20) for seed in range(6)])
    together = {len({item.buffer for item in step}) for step in steps.seen}
    assert max(together) >= 2


def test_memory_stays_within_its_budget_and_is_given_back(start_engine: StartEngine) -> None:
    budget = TOKENS_IN_MEMORY * bytes_per_token(start_engine())
    engine = start_engine(kv_memory=budget)
    for seed in range(6):
        all_at_once(engine, [greedy(ids(40, seed=10 * seed + n), 8, tenant=str(n)) for n in range(4)])
        assert resident_bytes(engine) <= budget
    engine.evict_idle()
    assert (engine.num_running, engine.num_waiting) == (0, 0)
    assert resident_bytes(engine) == 0


@pytest.mark.parametrize(("prompt", "output"), [(TOKENS_IN_MEMORY, 1), (100, TOKENS_IN_MEMORY - 99), (2000, None)])
def test_what_can_never_fit_in_memory_is_refused(start_engine: StartEngine, prompt: int, output: int | None) -> None:
    engine = start_engine(kv_memory=TOKENS_IN_MEMORY * bytes_per_token(start_engine()))
    with pytest.raises(ContextLengthExceeded, match="--kv-memory") as refused:
        engine.generate(greedy(ids(prompt), output))  # type: ignore[arg-type]
    assert (refused.value.status, refused.value.code) == (400, "context_length_exceeded")


def test_what_fits_exactly_is_served(start_engine: StartEngine) -> None:
    engine = start_engine(kv_memory=TOKENS_IN_MEMORY * bytes_per_token(start_engine()))
    assert len(engine.generate(greedy(ids(TOKENS_IN_MEMORY - 8), 8)).token_ids) == 8


def test_what_exceeds_the_models_context_is_refused(engine: Engine) -> None:
    with pytest.raises(ContextLengthExceeded, match="the model's context"):
        engine.generate(greedy(ids(CONTEXT_LENGTH), 1))


def test_without_a_limit_the_output_fills_the_context(start_engine: StartEngine) -> None:
    engine = start_engine(max_context=40)
    answer = engine.generate(greedy(ids(30), None))  # type: ignore[arg-type]
    assert (len(answer.token_ids), answer.finish_reason) == (10, "length")


@pytest.mark.parametrize("prompt", [(), (-1,), (10**9,)])
def test_a_prompt_that_is_none_is_refused(engine: Engine, prompt: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest):
        engine.generate(greedy(prompt, 1))


def test_a_queue_too_long_is_refused_and_the_rest_is_answered(start_engine: StartEngine, steps: Steps) -> None:
    engine = start_engine(max_waiting=2, kv_memory=TOKENS_IN_MEMORY * bytes_per_token(start_engine()))

    async def flood() -> tuple[int, list[Generated]]:
        tasks, refused = [], 0
        steps.hold()
        for seed in range(12):
            tasks.append(asyncio.create_task(collect(engine, greedy(ids(80, seed=seed), 2))))
            await asyncio.sleep(0.02)
            if seed == 2:
                steps.go_on()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        refused = sum(isinstance(answer, Overloaded) for answer in answers)
        return refused, [answer for answer in answers if isinstance(answer, Generated)]

    refused, answers = asyncio.run(flood())
    assert refused + len(answers) == 12
    assert len(answers) >= 3


def bytes_per_token(engine: Engine) -> int:
    per_token = engine.stats()["kv_bytes_per_token"]
    assert isinstance(per_token, int)
    return per_token


def resident_bytes(engine: Engine) -> int:
    tiers = engine.stats()["tiers"]
    assert isinstance(tiers, dict)
    return int(tiers["resident"]["bytes"])
