"""Several choices of one prompt: it is computed once, and each says what it would say alone."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import pytest
from tests.server.engine.conftest import StartEngine
from tests.support.engines import collect, greedy
from tests.support.reference import random_ids
from tests.support.steps import Steps

from warmturn_server.engine import Engine
from warmturn_server.engine_api import GenerationRequest, ReuseMode, TokenDelta

LENGTH: Final = 90
SEEDS: Final = (5, 6, 7)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    yield Steps(monkeypatch)


def asked(seed: int, reuse: ReuseMode, **more: object) -> GenerationRequest:
    """A prompt that nobody asked before."""
    request = greedy(random_ids(random.Random(seed), LENGTH), 12, reuse)
    return replace(request, sampling=replace(request.sampling, temperature=1.0, **more))  # type: ignore[arg-type]


def choices_of(request: GenerationRequest) -> list[GenerationRequest]:
    return [replace(request, sampling=replace(request.sampling, seed=seed)) for seed in SEEDS]


async def said_together(engine: Engine, requests: Sequence[GenerationRequest]) -> list[list[TokenDelta]]:
    generations = engine.submit_choices(requests)
    return [[delta async for delta in generation] for generation in generations]


def ids_of(deltas: list[TokenDelta]) -> list[int]:
    return [token_id for delta in deltas for token_id in delta.token_ids]


@pytest.mark.parametrize(("reuse", "num_new"), [(ReuseMode.STATE, 12), (ReuseMode.PROMPT, 12), (ReuseMode.STATE, 1)])
def test_one_prefill_serves_all_and_each_says_what_it_says_alone(
    engine: Engine, steps: Steps, reuse: ReuseMode, num_new: int
) -> None:
    requests = choices_of(asked(num_new, reuse, max_tokens=num_new))
    together = asyncio.run(said_together(engine, requests))
    computed = sum(item.num_tokens for step in steps.seen for item in step if item.start < LENGTH)
    assert computed == LENGTH + len(SEEDS) - 1, "all of it once, and its last token for each further one"
    alone = [asyncio.run(collect(engine, replace(request, reuse=ReuseMode.PROMPT))) for request in requests]
    assert [ids_of(deltas) for deltas in together] == [list(answer.token_ids) for answer in alone]
    assert num_new == 1 or len({tuple(ids_of(deltas)) for deltas in together}) == len(SEEDS), "each has its own luck"
    reports = [deltas[-1].finish.report for deltas in together if deltas[-1].finish]
    assert [report.cached_tokens for report in reports] == [0, LENGTH - 1, LENGTH - 1]
    assert [report.saved_ms for report in reports] == pytest.approx([0.0, 0.0, 0.0])


def test_what_a_prompt_is_like_is_told_with_each(engine: Engine) -> None:
    request = replace(asked(3, ReuseMode.PROMPT), prompt_logprobs=1)
    first, *others = asyncio.run(said_together(engine, choices_of(request)))
    assert len(first[0].prompt_logprobs) == LENGTH - 1
    assert all(other[0].prompt_logprobs == first[0].prompt_logprobs for other in others)


def test_if_the_first_is_stopped_the_others_go_on(engine: Engine, steps: Steps) -> None:
    async def stop_the_first() -> list[list[TokenDelta]]:
        steps.hold()
        generations = engine.submit_choices(choices_of(asked(4, ReuseMode.PROMPT)))
        generations[0].cancel()
        steps.go_on()
        return [[delta async for delta in generation] for generation in generations]

    stopped, *others = asyncio.run(stop_the_first())
    assert stopped[-1].finish and stopped[-1].finish.reason == "cancelled"
    assert [len(ids_of(deltas)) for deltas in others] == [12, 12]


def test_they_are_spoken_beside_each_other(engine: Engine, steps: Steps) -> None:
    asyncio.run(said_together(engine, choices_of(asked(5, ReuseMode.STATE))))
    assert sum(len(step) == len(SEEDS) for step in steps.seen) >= 10


def test_where_memory_is_for_one_they_come_one_after_the_other(start_engine: StartEngine) -> None:
    engine = start_engine(kv_memory=200_000)
    room = engine.max_tokens
    request = asked(6, ReuseMode.STATE, max_tokens=room - LENGTH)
    alone = asyncio.run(collect(engine, choices_of(request)[1]))
    together = asyncio.run(said_together(engine, choices_of(request)))
    assert [len(ids_of(deltas)) for deltas in together] == [room - LENGTH] * 3
    assert ids_of(together[1]) == list(alone.token_ids)


def test_a_prompt_counts_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = list[tuple[int, int]]()
    observer = engine._accounts._observer
    monkeypatch.setattr(
        observer, "turn_finished", lambda report, output, _: counted.append((report.prompt_tokens, output))
    )
    asyncio.run(said_together(engine, choices_of(asked(8, ReuseMode.STATE))))
    assert sorted(counted) == [(1, 12), (1, 12), (LENGTH, 12)]


def test_only_what_may_be_a_control_turn_is_counted_among_those_that_it_stands_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one reuses nothing, and the others are never drawn."""
    counted = list[float]()
    monkeypatch.setattr(engine._controls.observer, "turn_reused", counted.append)
    request = asked(9, ReuseMode.STATE)
    asyncio.run(said_together(engine, choices_of(request)))
    assert counted == []
    asyncio.run(collect(engine, request))
    assert len(counted) == 1
