"""Look-backs stay out of everybody's way: they are made beside the running turns, read only, and bounded."""

import asyncio
import dataclasses
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.server.engine.conftest import StartEngine
from tests.support.engines import collect, greedy, running_engine
from tests.support.models import TinyModels
from tests.support.reference import Reference, random_ids
from tests.support.state import contents
from tests.support.waiting import wait_until

from warmturn_server.engine import Engine, Generation
from warmturn_server.engine.kv_pool import IdleBuffer
from warmturn_server.engine.lookback import weights as weighing
from warmturn_server.engine.lookback import worker as beside
from warmturn_server.engine.model.capture import Queries, Scoring
from warmturn_server.engine_api import Generated, GenerationRequest, Lookback, LookbackRequest, ReuseMode, TokenDelta

PROMPT = random_ids(random.Random(3), 40)
SECONDS = 60


@pytest.fixture
def engine(start_engine: StartEngine) -> Engine:
    return start_engine()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No look-back is made before this is set."""
    gate, really = threading.Event(), weighing.look_back

    def late(*arguments: object) -> Lookback:
        assert gate.wait(SECONDS)
        return really(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(beside, "look_back", late)
    yield gate
    gate.set()


def looking(prompt: tuple[int, ...] = PROMPT, tokens: int = 6) -> GenerationRequest:
    groups = tuple(1 if position < 30 else 2 for position in range(len(prompt)))
    return dataclasses.replace(greedy(prompt, tokens), lookback=LookbackRequest(groups, 3, frozenset({1})))


def shares(lookback: Lookback) -> list[float]:
    tables = [layer.shares for layer in lookback.layers] + [look.shares for look in lookback.looks]
    return [share for row in tables for share in row]


async def finished(engine: Engine, request: GenerationRequest) -> Generation:
    generation = engine.submit(request)
    assert [delta async for delta in generation][-1].finish
    return generation


def test_others_do_not_wait_for_a_look_back(engine: Engine, held: threading.Event) -> None:
    async def scenario() -> Lookback | None:
        asked = asyncio.create_task((await finished(engine, looking())).lookback())
        others = [greedy(random_ids(random.Random(number), 20), 5) for number in range(3)]
        replies = await asyncio.gather(*(collect(engine, other) for other in others))
        assert [len(reply.token_ids) for reply in replies] == [5, 5, 5]
        assert not asked.done()
        held.set()
        return await asked

    assert asyncio.run(asyncio.wait_for(scenario(), SECONDS)) is not None


def test_the_conversation_goes_on_before_it_is_made(
    engine: Engine, held: threading.Event, tiny_models: TinyModels
) -> None:
    """In the very same buffer: what the look-back reads of it does not change any more."""

    async def scenario() -> tuple[Generated, Lookback | None]:
        generation = engine.submit(looking())
        deltas = [delta async for delta in generation]
        output = tuple(token for delta in deltas for token in delta.token_ids)
        history = PROMPT + output
        for _ in range(3):
            more = await collect(engine, greedy((*history, 50, 51), 40, known_tokens=len(history) - 1))
            assert more.report.cached_by_tier["resident"] == len(history) - 1
            history += (50, 51, *more.token_ids)
        held.set()
        finish = deltas[-1].finish
        assert finish
        return Generated(output, "", "length", finish.report), await generation.lookback()

    said, lookback = asyncio.run(asyncio.wait_for(scenario(), SECONDS))
    assert lookback is not None
    weights = Reference(tiny_models()).attentions(PROMPT + said.token_ids).mean(1)[:, len(PROMPT) - 1 : -1]
    told = torch.tensor([layer.shares[1] for layer in lookback.layers])
    assert torch.allclose(told, weights[..., :30].sum(-1).mean(1), atol=1e-5)


def test_one_that_fails_takes_no_answer_with_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "look_back", lambda *_: 1 / 0)
    said = engine.generate(looking())
    assert (len(said.token_ids), said.lookback) == (6, None)
    monkeypatch.undo()
    assert engine.generate(looking()).lookback is not None


def test_no_more_wait_than_memory_is_meant_for(engine: Engine, held: threading.Event) -> None:
    async def scenario() -> list[bool]:
        turns = [await finished(engine, looking(tokens=1)) for _ in range(beside.MAX_WAITING + 3)]
        held.set()
        return [await turn.lookback() is not None for turn in turns]

    taken = asyncio.run(asyncio.wait_for(scenario(), SECONDS))
    assert taken == [True] * beside.MAX_WAITING + [False] * 3
    assert engine.generate(looking()).lookback is not None


def test_those_that_nobody_asks_for_take_no_places(engine: Engine) -> None:
    async def scenario() -> None:
        for _ in range(beside.MAX_WAITING + 3):
            await finished(engine, looking(tokens=1))

    asyncio.run(asyncio.wait_for(scenario(), SECONDS))
    wait_until(lambda: engine.generate(looking(tokens=1)).lookback, "their places are taken for ever")


def test_it_may_be_asked_for_again(engine: Engine) -> None:
    async def scenario() -> list[Lookback | None]:
        generation = await finished(engine, looking())
        return [await generation.lookback() for _ in range(2)]

    first, second = asyncio.run(asyncio.wait_for(scenario(), SECONDS))
    assert first is not None and first is second


def test_who_cancels_gets_none(engine: Engine) -> None:
    async def scenario() -> tuple[TokenDelta, Lookback | None]:
        generation = engine.submit(looking(tokens=500))
        await anext(generation)
        generation.cancel()
        return [delta async for delta in generation][-1], await generation.lookback()

    delta, lookback = asyncio.run(asyncio.wait_for(scenario(), SECONDS))
    assert delta.finish and (delta.finish.reason, lookback) == ("cancelled", None)


def replay_of(said: Generated) -> GenerationRequest:
    asked = looking().lookback
    assert asked is not None
    ids = PROMPT + said.token_ids[:-1]
    return dataclasses.replace(greedy(ids, 1), lookback=dataclasses.replace(asked, recomputes_reply=True))


def test_a_replay_says_the_same_and_leaves_every_buffer_as_it_was(engine: Engine) -> None:
    said = engine.generate(looking())
    before = [(resident.token_ids.tolist(), contents(resident.buffer)) for resident in pool(engine)]
    replayed = engine.generate(replay_of(said))
    assert replayed.report.cached_by_tier["resident"] == len(PROMPT) - 1
    assert said.lookback and replayed.lookback
    assert shares(replayed.lookback) == pytest.approx(shares(said.lookback), abs=1e-5)
    after = [(resident.token_ids.tolist(), contents(resident.buffer)) for resident in pool(engine)]
    assert before == after and len(before) == 1
    assert engine.num_running == 0 and engine._memory.pool.reserved_bytes == 0


def test_a_replay_does_not_take_over_a_buffer_that_ends_where_it_begins(engine: Engine) -> None:
    said = engine.generate(looking())
    engine._memory.pool.clear()
    engine.generate(greedy(PROMPT[:-1], 1))
    assert [len(resident.token_ids) for resident in pool(engine)] == [len(PROMPT) - 1]
    assert engine.generate(replay_of(said)).lookback is not None
    assert [len(resident.token_ids) for resident in pool(engine)] == [len(PROMPT) - 1]


def pool(engine: Engine) -> list[IdleBuffer]:
    return list(engine._memory.pool._idle.values())


def test_long_contexts_are_weighed_in_pieces(tiny_models: TinyModels, tmp_path: Path) -> None:
    with running_engine(tiny_models("gpt_oss"), tmp_path) as engine:
        whole = engine.generate(looking()).lookback
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(weighing, "_WEIGHTS_AT_A_TIME", 1)
            pieces = engine.generate(looking()).lookback
    assert whole and pieces
    assert shares(pieces) == pytest.approx(shares(whole), abs=1e-6)


def test_queries_are_taken_once_and_up_to_a_limit() -> None:
    queries, scoring = Queries(first=5, limit=4), Scoring(1.0)
    row = torch.arange(20.0).view(1, 20, 1)
    for start, stop in ((0, 4), (4, 7), (0, 8), (8, 9), (9, 20)):
        queries.take(0, start, row[:, start:stop], scoring)
    assert queries.of_layer(0).flatten().tolist() == [5, 6, 7, 8]
    assert (queries.first, queries.stop) == (5, 9)


def test_who_does_not_ask_keeps_no_queries(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queries, "take", lambda *_: pytest.fail("nobody asked"))
    assert engine.generate(greedy(PROMPT, 3, ReuseMode.STATE)).lookback is None
