"""Promise 1, closer: the numbers behind the answer, alone, in batches and in chunks cut anywhere."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from tests.support.device import DEVICE
from tests.support.models import SERVED, SLIDING_WINDOW, TinyModels
from tests.support.reference import Reference, random_ids

from warmturn_server.engine import ModelRunner, Work, load_model

TOLERANCE = 1e-4
NUM_TOKENS = 61


@dataclass(frozen=True)
class Case:
    """A model with this engine's attention, and eight sequences with the logits that its own attention gives."""

    runner: ModelRunner
    sequences: list[tuple[int, ...]]
    expected: list[torch.Tensor]


@pytest.fixture(scope="module", params=SERVED)
def case(request: pytest.FixtureRequest, tiny_models: TinyModels) -> Iterator[Case]:
    model = tiny_models(request.param)
    lengths = (NUM_TOKENS, 1, 2, 8, 23, 24, 25, 50)
    sequences = [random_ids(random.Random(count), count) for count in lengths]
    reference = Reference(model)
    runner = ModelRunner(load_model(str(model), device=str(DEVICE), dtype="float32", max_context=None))
    yield Case(runner, sequences, [reference.logits(sequence) for sequence in sequences])


def difference(got: torch.Tensor, expected: torch.Tensor) -> float:
    assert got.shape == expected.shape
    return float((got.cpu() - expected).abs().max())


def test_the_logits_are_large_enough_to_be_compared(case: Case) -> None:
    assert case.expected[0].std() > 1.0
    assert NUM_TOKENS > 2 * SLIDING_WINDOW


def test_token_by_token(case: Case) -> None:
    buffer = case.runner.buffer()
    for token_id, expected in zip(case.sequences[0], case.expected[0], strict=True):
        assert difference(case.runner.forward([Work(buffer, [token_id])])[0], expected) < TOLERANCE


def test_cut_in_two_anywhere(case: Case) -> None:
    ids, expected = case.sequences[0], case.expected[0]
    for cut in range(1, NUM_TOKENS):
        buffer = case.runner.buffer()
        first = case.runner.forward([Work(buffer, ids[:cut])])[0]
        last = case.runner.forward([Work(buffer, ids[cut:])])[0]
        assert max(difference(first, expected[cut - 1]), difference(last, expected[-1])) < TOLERANCE, cut


@pytest.mark.parametrize("chunk", [2, 3, 7, 8, 9, 23, 24, 25])
def test_in_chunks_of_any_size(case: Case, chunk: int) -> None:
    ids, buffer = case.sequences[0], case.runner.buffer()
    for start in range(0, NUM_TOKENS, chunk):
        got = case.runner.forward([Work(buffer, ids[start : start + chunk])])[0]
        assert difference(got, case.expected[0][min(start + chunk, NUM_TOKENS) - 1]) < TOLERANCE


def test_eight_sequences_of_mixed_lengths_prefilled_together(case: Case) -> None:
    got = case.runner.forward([Work(case.runner.buffer(), sequence) for sequence in case.sequences])
    assert difference(got, torch.stack([expected[-1] for expected in case.expected])) < TOLERANCE


def test_prefills_and_decodes_in_one_step(case: Case) -> None:
    """Sequences of every length side by side, each at its own position: some decode while others begin."""
    buffers = [case.runner.buffer() for _ in case.sequences]
    for step in range(12):
        works, rows = [], []
        for number, (sequence, buffer) in enumerate(zip(case.sequences, buffers, strict=True)):
            count = 1 if buffer.length and number % 2 else 5 + number
            if ids := sequence[buffer.length : buffer.length + count]:
                wants = (step + number) % 3 > 0
                works.append(Work(buffer, ids, wants))
                rows += [case.expected[number][buffer.length + len(ids) - 1]] if wants else []
        got = case.runner.forward(works) if works else torch.empty(0)
        if rows:
            assert difference(got, torch.stack(rows)) < TOLERANCE


def test_who_asked_for_no_logits_gets_none(case: Case) -> None:
    works = [Work(case.runner.buffer(), sequence, wants_logits=False) for sequence in case.sequences]
    assert len(case.runner.forward(works)) == 0


def test_a_copied_prefix_goes_on_as_the_original(case: Case) -> None:
    """A fork's own buffer, bit for bit."""
    ids = case.sequences[0]
    for cut in (1, 8, SLIDING_WINDOW, NUM_TOKENS - 1):
        original, fork = case.runner.buffer(), case.runner.buffer()
        case.runner.forward([Work(original, ids[:cut])])
        fork.copy_prefix(original, cut)
        expected = case.runner.forward([Work(original, ids[cut:])])
        assert torch.equal(case.runner.forward([Work(fork, ids[cut:])]), expected)
