"""The loop knows of control turns and look-backs only what a hook says; with one that does nothing it is the same."""

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from tests.support.engines import all_at_once, greedy, running_engine
from tests.support.models import TinyModels

from warmturn_server.engine import Engine
from warmturn_server.engine.hooks import Account, Hooks, NoHook, StepHook
from warmturn_server.engine.sequence import Sequence
from warmturn_server.engine_api import FinishReason, GenerationRequest, ReuseMode

PROMPTS = tuple(tuple(range(first, first + 40)) for first in (10, 60))
REQUESTS = [greedy(prompt, 6) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def engine(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running_engine(tiny_models(), tmp_path_factory.mktemp("hooks")) as engine:
        yield engine


@pytest.fixture(scope="module")
def expected(engine: Engine) -> list[tuple[int, ...]]:
    return [answer.token_ids for answer in all_at_once(engine, REQUESTS)]


class Watches(NoHook):
    """Wants the rows of some positions, and remembers what it is told."""

    def __init__(self, wanted: range) -> None:
        self.wanted = wanted
        self.seen: dict[int, int] = {}
        self.told: list[str] = []

    def enqueued(self, sequence: Sequence) -> None:  # noqa: ARG002
        self.told.append("enqueued")

    def wanted_rows(self, sequence: Sequence, start: int, count: int) -> range:  # noqa: ARG002
        return range(max(self.wanted.start - start, 0), max(min(self.wanted.stop - start, count), 0))

    def logits(self, sequence: Sequence, positions: object, logits: torch.Tensor) -> None:  # noqa: ARG002
        assert isinstance(positions, list)
        assert len(positions) == len(logits)
        self.seen |= dict(zip(positions, logits.argmax(-1).tolist(), strict=True))

    def finished(self, sequence: Sequence, reason: FinishReason, account: Account) -> Account:
        assert sequence.kv.length == len(sequence.token_ids) - 1
        self.told.append(reason)
        return account


def test_the_loop_serves_with_a_hook_that_does_nothing(
    engine: Engine, expected: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._loop, "_hook", NoHook())
    for _ in range(2):
        answers = all_at_once(engine, REQUESTS)
        assert [answer.token_ids for answer in answers] == expected
    assert [answer.report.cached_tokens for answer in answers] == [39, 39]
    assert [answer.report.control for answer in answers] == [None, None]


@pytest.mark.parametrize("wanted", [range(30, 45), range(39, 40), range(44, 99), range(5)])
def test_a_hook_sees_the_rows_that_it_wants_and_changes_nothing(
    engine: Engine, expected: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch, wanted: range
) -> None:
    watches = Watches(wanted)
    monkeypatch.setattr(engine._loop, "_hook", Hooks(NoHook(), watches))
    request = GenerationRequest(PROMPTS[0], REQUESTS[0].sampling)
    scratch = dataclasses.replace(request, reuse=ReuseMode.PROMPT)
    assert engine.generate(scratch).token_ids == engine.generate(request).token_ids == expected[0]
    assert set(wanted) & set(range(45)) <= set(watches.seen)
    for position, token_id in watches.seen.items():
        if position >= len(PROMPTS[0]) - 1:  # an end token may be the most likely, and is never chosen here
            chosen = expected[0][position - len(PROMPTS[0]) + 1]
            assert token_id in {chosen, *engine.vocabulary.eos_token_ids}
    assert watches.told == ["enqueued", "length"] * 2


def test_several_hooks_are_asked_in_order() -> None:
    first, second = Watches(range(3, 5)), Watches(range(4, 9))
    hooks: StepHook = Hooks(first, NoHook(), second)
    sequence = object()
    assert hooks.wanted_rows(sequence, 0, 7) == range(3, 7)  # type: ignore[arg-type]
    assert Hooks(NoHook()).wanted_rows(sequence, 0, 7) == range(0)  # type: ignore[arg-type]
    assert hooks.idle_in() is None
