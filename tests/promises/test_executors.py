"""The promises hold on every executor, and from one to another: a selection of what the default one is tried with.

All of it on another one: `WARMTURN_TESTS_EXECUTOR=lean .venv/bin/pytest tests/promises tests/server/engine`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.support.engines import all_at_once, greedy, running_engine
from tests.support.models import TinyModels
from tests.support.programs import program
from tests.support.reference import Reference, Turn

from warmturn_server.engine_api import ReuseMode

EXECUTORS: Final = {"auto": "native", "lean": "lean", "generic": "generic"}
"""What is asked for, and who computes then."""
pytestmark = pytest.mark.usefixtures("restoring_always_wins")


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def model(request: pytest.FixtureRequest, tiny_models: TinyModels) -> Path:
    program("c++")
    return tiny_models(request.param)


@pytest.fixture(scope="module")
def turns(model: Path) -> Iterator[list[Turn]]:
    """Longer than what one thread looks at in one go."""
    yield Reference(model).conversation(4, seed=5, user_tokens=75, reply_tokens=10)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_every_reuse_says_what_the_model_says(model: Path, turns: list[Turn], tmp_path: Path, executor: str) -> None:
    with running_engine(model, tmp_path, executor=executor) as engine:
        for turn in turns:
            answers = all_at_once(engine, [greedy(turn.prompt, len(turn.reply), reuse) for reuse in ReuseMode])
            assert {answer.token_ids for answer in answers} == {turn.reply}
            assert {answer.report.executor for answer in answers} == {EXECUTORS[executor]}


def test_a_conversation_goes_on_by_another_executor(model: Path, turns: list[Turn], tmp_path: Path) -> None:
    """After a restart without a compiler, say: what one saved the other continues."""
    for number, (turn, asked) in enumerate(zip(turns, ("auto", "generic", "lean", "auto"), strict=True)):
        with running_engine(model, tmp_path, executor=asked) as engine:
            answer = engine.generate(greedy(turn.prompt, len(turn.reply)))
            assert answer.token_ids == turn.reply
            assert answer.report.executor == EXECUTORS[asked]
            assert (answer.report.cached_by_tier["disk"] > 0) is (number > 0)
