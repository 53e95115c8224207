"""Whatever masks logits takes part in every choice, and is told of every token."""

import pytest
import torch
from tests.support.tokenizer import tiny_tokenizer

from warmturn_server.engine.sampling.processors import Biases, LogitsProcessor, NeverTokens, NotYet, Penalties
from warmturn_server.engine.sampling.sampler import Sampler
from warmturn_server.engine.sampling.vetoes import BadWords
from warmturn_server.engine_api import SamplingParams
from warmturn_server.errors import NothingAllowed

LOGITS = torch.tensor([0.5, 4.0, 3.0, 2.0, -1.0])
GREEDY = SamplingParams(temperature=0.0)


class InTurn:
    """Allows the tokens of a list, one after the other: what a grammar does."""

    forced: tuple[int, ...] = ()

    def __init__(self, *token_ids: int) -> None:
        self._left = list(token_ids)

    def mask(self, logits: torch.Tensor) -> torch.Tensor:
        masked = torch.full_like(logits, -torch.inf)
        masked[self._left[0]] = logits[self._left[0]]
        return masked

    def leaves(self, best: int) -> bool:
        return best == self._left[0]

    def advance(self, token_id: int) -> None:
        assert token_id == self._left.pop(0)


def choose(sampler: Sampler, count: int) -> list[int]:
    """As the loop does: the arg max where that is all there is to it."""
    chosen = list[int]()
    for _ in range(count):
        best = int(LOGITS.argmax())
        chosen.append(best if sampler.settles_for(best) else sampler.sample(LOGITS)[0])
        sampler.accept(chosen[-1])
    return chosen


def test_a_mask_decides_greedily_and_at_random() -> None:
    for params in (GREEDY, SamplingParams(seed=3), SamplingParams(temperature=0.0, frequency_penalty=1.0)):
        assert choose(Sampler(params, (), more=[InTurn(4, 1, 0, 1)]), 4) == [4, 1, 0, 1]


def test_log_probabilities_are_the_models_own() -> None:
    sampler = Sampler(SamplingParams(logprobs=1, seed=1), (), more=[InTurn(4)])
    token_id, logprobs = sampler.sample(LOGITS)
    assert logprobs is not None
    assert (token_id, logprobs.top[0][0]) == (4, 1)
    assert logprobs.logprob == float(torch.log_softmax(LOGITS, -1)[4])


def test_what_is_masked_is_not_changed_for_others() -> None:
    before = LOGITS.clone()
    penalties = Penalties(SamplingParams(presence_penalty=1.0, repetition_penalty=2.0), (1, 2))
    penalties.advance(3)
    for processor in (NeverTokens([1]), NotYet(1, [1]), Biases([(1, 2.0)]), penalties):
        assert not torch.equal(processor.mask(LOGITS), before)
        assert torch.equal(LOGITS, before)


@pytest.mark.parametrize(
    "processor",
    [
        *(NeverTokens([never]) for never in range(len(LOGITS))),
        *(Biases([(token_id, 99.0)]) for token_id in range(len(LOGITS))),
        Biases([(0, -100.0), (2, -1.0)]),
        Biases([(0, 3.0), (2, 3.0)]),
        NotYet(1, [0, 1]),
        NotYet(0, [0, 1]),
    ],
)
def test_who_leaves_the_best_token_says_so_truly(processor: LogitsProcessor) -> None:
    for best in range(len(LOGITS)):
        logits = LOGITS.clone()
        logits[best] = 9.0
        if processor.leaves(best):
            assert int(processor.mask(logits).argmax()) == best


def test_biases_are_added_to_what_the_model_says() -> None:
    params = SamplingParams(temperature=0.0, logit_bias=((3, 2.5), (1, -100.0)), logprobs=1)
    token_id, logprobs = Sampler(params, ()).sample(LOGITS)
    assert token_id == 3
    assert logprobs and logprobs.top[0][0] == 1, "log-probabilities are the model's own"
    assert choose(Sampler(SamplingParams(temperature=0.0, logit_bias=((1, -100.0),)), ()), 2) == [2, 2]


def test_nothing_ends_before_it_may() -> None:
    params = SamplingParams(temperature=0.0, min_tokens=2, stop_token_ids=(2,))
    assert choose(Sampler(params, (), frozenset({1})), 4) == [3, 3, 1, 1]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_word_is_not_said_however_it_is_spelled(temperature: float) -> None:
    tokenizer = tiny_tokenizer()
    letters = [tokenizer.token_to_id(letter) for letter in "name"]
    logits = torch.full((tokenizer.get_vocab_size(),), -50.0)
    logits[letters] = torch.tensor([4.0, 3.0, 2.0, 1.0]) if temperature else torch.tensor([0.0, 0.0, 0.0, 0.0])
    sampler = Sampler(
        SamplingParams(temperature=temperature, seed=1), (), vetoes=[BadWords(["an", "me", "nn"], tokenizer)]
    )
    chosen = list[int]()
    for _ in range(200):
        best = int(logits.argmax())
        chosen.append(best if sampler.settles_for(best) else sampler.sample(logits)[0])
        sampler.accept(chosen[-1])
    text = tokenizer.decode(chosen)
    assert len(text) == 200
    assert not [word for word in ("an", "me", "nn") if word in text]


def test_where_everything_likely_is_forbidden_nothing_is_said() -> None:
    tokenizer = tiny_tokenizer()
    logits = torch.zeros(tokenizer.get_vocab_size())
    everything = [chr(code) for code in range(32, 127)]
    sampler = Sampler(SamplingParams(temperature=0.0), (), vetoes=[BadWords(everything, tokenizer)])
    logits[[tokenizer.token_to_id(chr(code)) for code in range(33, 127)]] = 1.0
    with pytest.raises(NothingAllowed, match="forbid less"):
        sampler.sample(logits)
