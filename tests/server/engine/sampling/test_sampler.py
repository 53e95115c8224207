"""How tokens are chosen."""

import dataclasses
import math
from collections import Counter

import pytest
import torch
from tests.support.device import DEVICE

from warmturn_server.engine.sampling.sampler import Sampler
from warmturn_server.engine_api.request import SamplingParams

LOGITS = torch.tensor([1.0, 3.0, 2.0, -1.0, 2.5, 0.0], device=DEVICE)
BEST = 1


def draw(
    params: SamplingParams, count: int = 1, logits: torch.Tensor = LOGITS, prompt: tuple[int, ...] = ()
) -> list[int]:
    """`count` draws from the same logits, none of them counted as output."""
    sampler = Sampler(params, prompt)
    return [sampler.sample(logits)[0] for _ in range(count)]


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=0.0),
        SamplingParams(temperature=1e-30),
        SamplingParams(temperature=1e-320),
        SamplingParams(top_k=1),
        SamplingParams(top_p=1e-9),
        SamplingParams(min_p=1.0),
        SamplingParams(temperature=2.0, top_k=1, top_p=0.5),
    ],
    ids=str,
)
def test_what_leaves_one_choice_is_greedy(params: SamplingParams) -> None:
    assert set(draw(params, 50)) == {BEST}


def test_a_seed_repeats_and_another_does_not() -> None:
    first, again, other = (draw(SamplingParams(seed=seed), 40) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_without_a_seed_two_draws_differ() -> None:
    assert draw(SamplingParams(), 60) != draw(SamplingParams(), 60)


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**64 - 1, -(2**63)])
def test_any_integer_is_a_seed(seed: int) -> None:
    assert draw(SamplingParams(seed=seed), 5) == draw(SamplingParams(seed=seed), 5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_model(temperature: float) -> None:
    count = 6000
    seen = Counter(draw(SamplingParams(seed=1, temperature=temperature), count))
    for token_id, probability in enumerate(torch.softmax(LOGITS / temperature, -1).tolist()):
        deviation = math.sqrt(count * probability * (1 - probability))
        assert abs(seen[token_id] - count * probability) < 5 * deviation + 1


@pytest.mark.parametrize(
    ("params", "allowed"),
    [
        (SamplingParams(top_k=2), {1, 4}),
        (SamplingParams(top_k=3), {1, 4, 2}),
        (SamplingParams(top_k=100), {0, 1, 2, 3, 4, 5}),
        (SamplingParams(top_p=0.5), {1, 4}),  # 0.43, 0.26, 0.16, ...
        (SamplingParams(top_p=0.4), {1}),
        (SamplingParams(top_p=0.75), {1, 4, 2}),
        (SamplingParams(min_p=0.5), {1, 4}),  # of the best: 0.61, 0.37, ...
        (SamplingParams(min_p=0.3), {1, 4, 2}),
        (SamplingParams(top_k=3, top_p=0.8, min_p=0.1), {1, 4}),  # 0.51, 0.31, 0.19 of the three
        (SamplingParams(temperature=0.25, top_p=0.9), {1, 4}),  # temperature first: 0.87, 0.12
    ],
    ids=str,
)
def test_exactly_the_allowed_tokens_are_drawn(params: SamplingParams, allowed: set[int]) -> None:
    seeded = SamplingParams(params.max_tokens, params.temperature, params.top_p, params.top_k, params.min_p, seed=3)
    assert set(draw(seeded, 4000)) == allowed


@pytest.mark.parametrize("params", [SamplingParams(top_k=700), SamplingParams(top_p=0.9), SamplingParams(min_p=0.99)])
def test_wide_choices_from_a_flat_distribution_stay_wide(params: SamplingParams) -> None:
    """More candidates than a first look at the best ones holds."""
    flat = torch.linspace(0.0, 0.001, 1000)
    seeded = SamplingParams(top_k=params.top_k, top_p=params.top_p, min_p=params.min_p, seed=5)
    assert len(set(draw(seeded, 3000, flat))) > 600


def chosen_by_sorting_all(params: SamplingParams, logits: torch.Tensor) -> set[int]:
    """What top-k, then top-p, then min-p leave, of all tokens in order."""
    probabilities, ids = torch.softmax(logits / params.temperature, -1).sort(descending=True)
    count = params.top_k or len(ids)
    probabilities = probabilities[:count] / (probabilities[:count].sum() if params.top_k else 1.0)
    before = probabilities.cumsum(0) - probabilities
    kept = (before < params.top_p) & (probabilities >= params.min_p * probabilities[0])
    return set(ids[:count][kept].tolist())


@pytest.mark.parametrize("spread", [0.3, 2.0, 6.0])
@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(top_p=0.5),
        SamplingParams(top_p=0.999),
        SamplingParams(top_k=40),
        SamplingParams(top_k=600, top_p=0.9),
        SamplingParams(min_p=0.05),
        SamplingParams(min_p=0.0001),
    ],
    ids=str,
)
def test_what_may_be_drawn_is_what_sorting_all_tokens_leaves(params: SamplingParams, spread: float) -> None:
    """However steep the distribution, and wherever the few that are looked at first end."""
    logits = torch.randn(2000, generator=torch.Generator().manual_seed(2)) * spread
    allowed = chosen_by_sorting_all(params, logits)
    drawn = set(draw(dataclasses.replace(params, seed=1), 1500, logits))
    assert drawn <= allowed
    assert len(drawn) >= min(len(allowed), 400) * 0.2


def test_the_same_draw_from_a_padded_batch_row_or_alone() -> None:
    """A row of a larger tensor is not contiguous with itself alone; the numbers are what counts."""
    batch = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    batch[5] = LOGITS
    params = SamplingParams(seed=11, top_p=0.95)
    assert draw(params, 30, batch[5]) == draw(params, 30)


def greedy_steps(params: SamplingParams, logits: list[float], steps: int, prompt: tuple[int, ...] = ()) -> list[int]:
    """Tokens chosen one after the other, each counted as output."""
    sampler, chosen = Sampler(params, prompt), []
    for _ in range(steps):
        chosen.append(sampler.sample(torch.tensor(logits))[0])
        sampler.accept(chosen[-1])
    return chosen


def test_presence_penalty_counts_once() -> None:
    params = SamplingParams(temperature=0, presence_penalty=0.5)
    assert greedy_steps(params, [1.0, 0.6, 0.2], 5) == [0, 1, 0, 0, 0]


def test_frequency_penalty_counts_every_time() -> None:
    params = SamplingParams(temperature=0, frequency_penalty=0.3)
    assert greedy_steps(params, [1.0, 0.8, 0.0], 6) == [0, 1, 0, 1, 0, 1]


def test_a_negative_penalty_invites_repetition() -> None:
    params = SamplingParams(temperature=0, presence_penalty=-1.0)
    sampler = Sampler(params, ())
    sampler.accept(2)
    assert sampler.sample(torch.tensor([1.0, 0.8, 0.5]))[0] == 2


def test_the_prompt_does_not_count_for_presence_and_frequency() -> None:
    params = SamplingParams(temperature=0, presence_penalty=2.0, frequency_penalty=2.0)
    assert greedy_steps(params, [1.0, 0.8], 1, prompt=(0, 0, 0)) == [0]


def test_repetition_penalty_counts_the_prompt_and_pushes_negative_logits_down() -> None:
    params = SamplingParams(temperature=0, repetition_penalty=2.0)
    assert greedy_steps(params, [1.0, 0.6, -3.0], 3, prompt=(0,)) == [1, 0, 0]
    assert greedy_steps(params, [-1.0, -1.5, -9.0], 2, prompt=(0,)) == [1, 0]


def test_penalties_leave_the_models_logits_alone() -> None:
    logits = LOGITS.clone()
    sampler = Sampler(SamplingParams(presence_penalty=1.0, repetition_penalty=1.5, seed=1), (0, 1))
    for _ in range(5):
        sampler.accept(sampler.sample(logits)[0])
    assert torch.equal(logits, LOGITS)


def test_logprobs_are_the_models_own_and_add_up_to_one() -> None:
    sampler = Sampler(SamplingParams(temperature=0.3, presence_penalty=1.0, seed=2, logprobs=len(LOGITS)), ())
    expected = torch.log_softmax(LOGITS, -1).tolist()
    for _ in range(10):
        token_id, logprobs = sampler.sample(LOGITS)
        sampler.accept(token_id)
        assert logprobs is not None
        assert logprobs.token_id == token_id
        assert logprobs.logprob == pytest.approx(expected[token_id], abs=1e-6)
        assert sum(math.exp(value) for _, value in logprobs.top) == pytest.approx(1.0, abs=1e-5)
        assert dict(logprobs.top) == pytest.approx(dict(enumerate(expected)), abs=1e-6)
        assert [value for _, value in logprobs.top] == sorted(expected, reverse=True)


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (2, 2), (20, 6)])
def test_as_many_alternatives_as_asked_for_and_there_are(asked: int, given: int) -> None:
    _, logprobs = Sampler(SamplingParams(logprobs=asked), ()).sample(LOGITS)
    assert logprobs is not None
    assert len(logprobs.top) == given


def test_no_logprobs_unless_asked_for() -> None:
    assert Sampler(SamplingParams(), ()).sample(LOGITS)[1] is None


@pytest.mark.parametrize("params", [SamplingParams(temperature=0.0), SamplingParams(top_k=1)], ids=str)
def test_where_end_tokens_are_ignored_the_best_of_the_others_is_chosen(params: SamplingParams) -> None:
    ignoring = dataclasses.replace(params, ignore_eos=True)
    assert Sampler(ignoring, (), frozenset({BEST})).sample(LOGITS)[0] == 4
    assert Sampler(params, (), frozenset({BEST})).sample(LOGITS)[0] == BEST


def test_the_best_is_not_enough_where_it_is_an_end_token_to_be_ignored() -> None:
    sampler = Sampler(SamplingParams(temperature=0.0, ignore_eos=True), (), frozenset({BEST}))
    assert [sampler.settles_for(token_id) for token_id in (BEST, 4)] == [False, True]
