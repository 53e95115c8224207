"""A GPU can have less memory than --kv-memory was told: idle state goes first, then the request, never the server."""

from collections.abc import Iterator, Sequence

import pytest
import torch
from tests.server.engine.conftest import StartEngine
from tests.support.engines import greedy

from warmturn_server.engine import ModelRunner, Work
from warmturn_server.errors import EngineFailed
from warmturn_server.kvcache import KVBuffer

PROMPT = (10, 11, 12, 13, 14, 15, 16, 17, 18)


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Put in how often the model shall find no memory."""
    left: list[int] = [0]
    forward = ModelRunner.forward

    def short_of_memory(runner: ModelRunner, step: Sequence[Work]) -> torch.Tensor:
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(runner, step)

    monkeypatch.setattr(ModelRunner, "forward", short_of_memory)
    yield left


def test_idle_state_goes_and_the_turn_goes_on(start_engine: StartEngine, failures: list[int]) -> None:
    engine = start_engine()
    expected = engine.generate(greedy(PROMPT, 6)).token_ids
    engine.flush()
    failures[0] = 1
    assert engine.generate(greedy((*PROMPT, 30), 6)).report.cached_tokens == len(PROMPT)
    assert engine.generate(greedy(PROMPT, 6)).token_ids == expected


def test_without_idle_state_the_request_fails_and_the_next_one_does_not(
    start_engine: StartEngine, failures: list[int]
) -> None:
    engine = start_engine()
    failures[0] = 1
    with pytest.raises(EngineFailed, match="out of memory"):
        engine.generate(greedy(PROMPT, 6))
    assert len(engine.generate(greedy(PROMPT, 6)).token_ids) == 6


def test_a_request_that_finds_no_memory_to_begin_gets_that_of_idle_state(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start_engine()
    engine.generate(greedy(PROMPT, 6))
    engine.flush()
    reserve, failed = KVBuffer.reserve, list[int]()

    def short_of_memory(buffer: KVBuffer, num_tokens: int, limit: int | None = None) -> None:
        if num_tokens and not failed:
            failed.append(num_tokens)
            raise torch.OutOfMemoryError("CUDA out of memory")
        reserve(buffer, num_tokens, limit)

    monkeypatch.setattr(KVBuffer, "reserve", short_of_memory)
    assert len(engine.generate(greedy((50, 51, 52), 6)).token_ids) == 6
    assert failed
