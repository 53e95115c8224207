"""An executor may decline a step: the generic one computes it, and nobody can tell by the answers."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tests.support.engines import all_at_once, greedy, running_engine
from tests.support.models import TinyModels

from warmturn_server.engine import Executor, Work
from warmturn_server.engine.model.executor import WithFallback
from warmturn_server.errors import ModelRefused

PROMPTS = tuple(tuple(range(first, first + 40)) for first in (10, 60, 110))


class Picky:
    """Takes only steps of one sequence that decodes, as a captured graph would; computes them as `inner` does."""

    kind = "picky"

    def __init__(self, inner: Executor) -> None:
        self.inner = inner
        self.taken = 0

    def takes(self, step: Sequence[Work]) -> bool:
        return len(step) == 1 and len(step[0].token_ids) == 1 and step[0].queries is None and not step[0].rows

    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        assert self.takes(step), "was asked for what it declined"
        self.taken += 1
        return self.inner.forward(step)


def test_declined_steps_are_computed_by_the_generic_executor(tiny_models: TinyModels, tmp_path: Path) -> None:
    requests = [greedy(prompt, 12) for prompt in PROMPTS]
    with running_engine(tiny_models(), tmp_path / "plain") as engine:
        expected = [answer.token_ids for answer in all_at_once(engine, requests)]
    with running_engine(tiny_models(), tmp_path / "picky") as engine:
        picky = Picky(engine._runner.generic)
        engine._runner.prefer(picky)
        proved = picky.taken
        assert proved, "it was not even tried"
        assert [answer.token_ids for answer in all_at_once(engine, requests)] == expected
        assert engine.generate(greedy(PROMPTS[0], 12)).token_ids == expected[0]
    assert picky.taken >= proved + 11, "what it takes it computes"


def test_without_anybody_preferred_all_is_generic() -> None:
    class Generic:
        kind = "generic"

        def takes(self, step: Sequence[Work]) -> bool:  # noqa: ARG002
            return True

        def forward(self, step: Sequence[Work]) -> torch.Tensor:
            return torch.zeros(len(step), 1)

    class Declines(Generic):
        kind = "declines"

        def takes(self, step: Sequence[Work]) -> bool:  # noqa: ARG002
            return False

        def forward(self, step: Sequence[Work]) -> torch.Tensor:
            raise AssertionError(step)

    both = WithFallback(Declines(), Generic())
    assert both.takes([])
    assert both.forward([]).shape == (0, 1)
    assert both.kind == "generic"


def test_an_executor_that_says_something_else_is_refused(tiny_models: TinyModels, tmp_path: Path) -> None:
    class Wrong(Picky):
        def forward(self, step: Sequence[Work]) -> torch.Tensor:
            return self.inner.forward(step) * 1.01

    with running_engine(tiny_models(), tmp_path) as engine:
        wrong = Wrong(engine._runner.generic)
        with pytest.raises(ModelRefused, match="other logits"):
            engine._runner.prefer(wrong)
        assert engine.generate(greedy(PROMPTS[0], 4)).token_ids
