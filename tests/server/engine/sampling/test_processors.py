"""Whatever masks logits takes part in every choice, and is told of every token."""

import torch

from warmturn_server.engine.sampling.processors import NeverTokens, Penalties
from warmturn_server.engine.sampling.sampler import Sampler
from warmturn_server.engine_api import SamplingParams

LOGITS = torch.tensor([0.5, 4.0, 3.0, 2.0, -1.0])
GREEDY = SamplingParams(temperature=0.0)


class InTurn:
    """Allows the tokens of a list, one after the other: what a grammar does."""

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
    for processor in (NeverTokens([1]), penalties):
        assert not torch.equal(processor.mask(LOGITS), before)
        assert torch.equal(LOGITS, before)


def test_who_leaves_the_best_token_says_so_truly() -> None:
    for never in range(len(LOGITS)):
        processor = NeverTokens([never])
        for best in range(len(LOGITS)):
            logits = LOGITS.clone()
            logits[best] = 9.0
            assert processor.leaves(best) == (int(processor.mask(logits).argmax()) == best)
