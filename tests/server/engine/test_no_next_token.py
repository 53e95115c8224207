"""Logits that are no numbers end the one turn that they belong to: nothing of it is kept, and the next try is sound."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from tests.server.engine.conftest import StartEngine
from tests.support.engines import collect, greedy
from tests.support.faults import tamper

from warmturn_server.engine import Engine, ModelRunner, Work
from warmturn_server.engine_api import Generated, GenerationRequest, ReuseMode, SamplingParams
from warmturn_server.errors import NoNextToken
from warmturn_server.kvcache import KVLayout

PROMPT = tuple(range(10, 40))
SAMPLED = SamplingParams(max_tokens=6, seed=1, top_p=0.9, ignore_eos=True)
Spoil = Callable[[torch.Tensor], None]


def with_nan(logits: torch.Tensor) -> None:
    logits[7] = torch.nan


def all_minus_infinity(logits: torch.Tensor) -> None:
    logits.fill_(-torch.inf)


def with_infinity(logits: torch.Tensor) -> None:
    logits[7] = torch.inf


def no_numbers(layout: KVLayout, slabs: list[torch.Tensor]) -> None:
    del layout
    for slab in slabs:
        slab.fill_(torch.nan)


class Spoiler:
    """Spoils the logits that follow one token, a number of times."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.behind, self.left = -1, 0
        self.spoil: Spoil = with_nan
        forward = ModelRunner.forward

        def spoiled(runner: ModelRunner, step: Sequence[Work]) -> torch.Tensor:
            logits = forward(runner, step).clone()
            for row, work in enumerate(work for work in step if work.wants_logits):
                if self.left and work.token_ids[-1] == self.behind:
                    self.left -= 1
                    self.spoil(logits[row])
            return logits

        patch.setattr(ModelRunner, "forward", spoiled)

    def arm(self, behind: int, spoil: Spoil = with_nan) -> None:
        self.behind, self.left, self.spoil = behind, 1, spoil


@pytest.fixture
def spoiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spoiler]:
    yield Spoiler(monkeypatch)


@pytest.mark.parametrize("spoil", [with_nan, all_minus_infinity, with_infinity])
@pytest.mark.parametrize(
    "sampling", [greedy(PROMPT, 6).sampling, SamplingParams(max_tokens=6, temperature=0.0), SAMPLED]
)
@pytest.mark.parametrize("number", [0, 3])
def test_the_turn_fails_and_the_next_one_does_not(
    engine: Engine, spoiler: Spoiler, spoil: Spoil, sampling: SamplingParams, number: int
) -> None:
    """With the first token and with a later one, chosen greedily, with log-probabilities, at random."""
    request = GenerationRequest(PROMPT, sampling)
    expected = engine.generate(request).token_ids
    spoiler.arm([PROMPT[-1], *expected][number], spoil)
    with pytest.raises(NoNextToken, match="NaN or infinite"):
        engine.generate(request)
    assert spoiler.left == 0
    assert engine.generate(request).token_ids == expected


def test_who_runs_beside_it_goes_on(engine: Engine, spoiler: Spoiler) -> None:
    other = greedy(range(60, 90), 8)
    expected = engine.generate(other).token_ids
    spoiler.arm(PROMPT[-1])

    async def both() -> tuple[Generated | BaseException, Generated | BaseException]:
        turns = collect(engine, greedy(PROMPT, 8)), collect(engine, other)
        return await asyncio.gather(*turns, return_exceptions=True)

    failed, answer = asyncio.run(both())
    assert isinstance(failed, NoNextToken)
    assert isinstance(answer, Generated)
    assert answer.token_ids == expected


def test_nothing_of_it_is_kept(start_engine: StartEngine, spoiler: Spoiler) -> None:
    engine = start_engine()
    spoiler.arm(PROMPT[-1])
    with pytest.raises(NoNextToken):
        engine.generate(greedy(PROMPT, 6))
    engine.flush()
    report = engine.generate(greedy((*PROMPT, 50), 6)).report
    assert report.cached_tokens == 0


@pytest.mark.usefixtures("restoring_always_wins")
def test_saved_state_that_led_to_it_is_not_used_again(start_engine: StartEngine, tmp_path: Path) -> None:
    """Its checksum is right: it was wrong before it was saved."""
    engine = start_engine(ram_cache=0)
    expected = engine.generate(greedy((*PROMPT, 50), 6, ReuseMode.PROMPT)).token_ids
    engine.generate(greedy(PROMPT, 2))
    engine.flush()
    engine.evict_idle()
    assert tamper(tmp_path, engine._runner.layout, no_numbers) > 0
    with pytest.raises(NoNextToken):
        engine.generate(greedy((*PROMPT, 50), 6))
    again = engine.generate(greedy((*PROMPT, 50), 6))
    assert (again.token_ids, again.report.cached_tokens) == (expected, 0)
