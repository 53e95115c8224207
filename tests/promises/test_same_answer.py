"""Promise 1: saved state changes when an answer comes, never which answer.

The oracle is the model itself as transformers runs it: eager attention, everything recomputed for every token.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.support.engines import all_at_once, greedy, running_engine
from tests.support.models import CONTEXT_LENGTH, SERVED, SLIDING_WINDOW, TinyModels
from tests.support.reference import Reference, Turn

from warmturn_server.engine import Engine
from warmturn_server.engine_api import ReuseMode

pytestmark = pytest.mark.usefixtures("restoring_always_wins")

REPLY_TOKENS = 12
Temporary = pytest.TempPathFactory


@dataclass(frozen=True)
class Case:
    """One architecture: its engine, and conversations whose only right answers are known."""

    engine: Engine
    alone: list[Turn]
    beside_others: list[list[Turn]]


@pytest.fixture(scope="module", params=SERVED)
def case(
    request: pytest.FixtureRequest, tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    model = tiny_models(request.param)
    reference = Reference(model)
    # Prompts from 3 to 45 tokens: shorter and longer than a block, the sliding window and a prefill chunk.
    lengths = (3, 7, 8, 15, 16, 17, 24, 45)
    alone = reference.conversation(6, seed=1, reply_tokens=REPLY_TOKENS)
    others = [reference.conversation(3, seed=n, user_tokens=n, reply_tokens=REPLY_TOKENS - n % 5) for n in lengths]
    with running_engine(model, tmp_path_factory.mktemp(request.param), prefill_budget=40) as engine:
        yield Case(engine, alone, others)


def test_the_conversations_are_worth_comparing(case: Case) -> None:
    """Longer than the sliding window, and not one token over and over."""
    for conversation in (case.alone, *case.beside_others):
        assert len(conversation[-1].token_ids) > SLIDING_WINDOW
        assert len({token_id for turn in conversation for token_id in turn.reply}) > 10
    assert len(case.alone[-1].token_ids) < CONTEXT_LENGTH


@pytest.mark.parametrize("reuse", ReuseMode)
def test_every_turn_says_what_the_model_says(case: Case, reuse: ReuseMode) -> None:
    for turn in case.alone:
        assert case.engine.generate(greedy(turn.prompt, len(turn.reply), reuse)).token_ids == turn.reply


@pytest.mark.parametrize("reuse", ReuseMode)
def test_every_turn_says_the_same_in_a_batch_of_eight(case: Case, reuse: ReuseMode) -> None:
    for turns in zip(*case.beside_others, strict=True):
        answers = all_at_once(case.engine, [greedy(turn.prompt, len(turn.reply), reuse) for turn in turns])
        assert [answer.token_ids for answer in answers] == [turn.reply for turn in turns]


def test_the_modes_do_not_disturb_each_other_in_one_batch(case: Case) -> None:
    modes = [*ReuseMode, *ReuseMode, *ReuseMode]
    for turns in zip(*case.beside_others, strict=True):
        requests = [greedy(turn.prompt, len(turn.reply), mode) for turn, mode in zip(turns, modes, strict=False)]
        assert [answer.token_ids for answer in all_at_once(case.engine, requests)] == [turn.reply for turn in turns]


def test_state_is_really_used(case: Case) -> None:
    """Only the last token of the history and the new ones are computed; the other modes compute everything."""
    for turn in case.alone:
        case.engine.generate(greedy(turn.prompt, len(turn.reply)))
    for before, turn in zip(case.alone, case.alone[1:], strict=False):
        report = case.engine.generate(greedy(turn.prompt, 1)).report
        assert report.cached_tokens >= len(before.token_ids) - 1
        assert report.cached_tokens + report.prefilled_tokens == report.prompt_tokens == len(turn.prompt)
        for reuse in (ReuseMode.PROMPT, ReuseMode.NOTHING):
            assert case.engine.generate(greedy(turn.prompt, 1, reuse)).report.cached_tokens == 0
