"""Promise 2 where everything is too small: many conversations at once, and no tier that could hold them all."""

import asyncio
import random
from pathlib import Path

import pytest
from tests.support.engines import collect, greedy, running_engine
from tests.support.models import TinyModels
from tests.support.reference import Reference, assert_greedy, random_ids

from warmturn_server.engine import Engine
from warmturn_server.engine_api import Generated, ReuseMode

CONVERSATIONS = 10
TURNS = 5
BYTES_PER_TOKEN = 768


@pytest.mark.usefixtures("restoring_always_wins")
@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_every_answer_is_right_while_state_is_saved_evicted_and_restored_all_the_time(
    tiny_models: TinyModels, tmp_path: Path, architecture: str
) -> None:
    """Saving overlaps with the next turns, buffers are given away while they are written out, blocks vanish."""
    reference = Reference(tiny_models(architecture))
    answers: list[tuple[tuple[int, ...], Generated]] = []

    async def converse(engine: Engine, number: int) -> None:
        chance = random.Random(number)
        history = random_ids(random.Random(number % 3), 21)  # every third one begins alike
        for _ in range(TURNS):
            prompt = history + random_ids(chance, chance.randrange(1, 12))
            reuse = chance.choice([ReuseMode.STATE] * 5 + [ReuseMode.PROMPT])
            answer = await collect(engine, greedy(prompt, chance.randrange(1, 10), reuse))
            answers.append((prompt, answer))
            history = prompt + answer.token_ids
            if chance.random() < 0.2:
                history = history[: chance.randrange(1, len(history))]
            await asyncio.sleep(chance.random() / 50)

    async def converse_all(engine: Engine) -> None:
        await asyncio.gather(*(converse(engine, number) for number in range(CONVERSATIONS)))

    settings = {
        "kv_memory": 4 * 128 * BYTES_PER_TOKEN,
        "ram_cache": 200 * BYTES_PER_TOKEN,
        "disk_cache": 400 * BYTES_PER_TOKEN,
    }
    with running_engine(tiny_models(architecture), tmp_path, **settings) as engine:
        asyncio.run(converse_all(engine))
    assert len(answers) == CONVERSATIONS * TURNS
    for prompt, answer in answers:
        assert_greedy(reference, prompt, answer.token_ids, ignore_eos=True)
    tiers = {tier for _, answer in answers for tier, count in answer.report.cached_by_tier.items() if count}
    assert {"resident", "ram"} <= tiers
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.kv")) <= settings["disk_cache"]
