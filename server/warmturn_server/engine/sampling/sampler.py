"""From logits to the next token, one sequence's wishes at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ...engine_api.report import TokenLogprobs
from ...engine_api.request import SamplingParams, TokenIds
from ...errors import NothingAllowed
from .processors import LogitsProcessor, processors_of
from .vetoes import MOST_REFUSALS, Veto

_LIKELY_ENOUGH = 512
_UNLIKELY = 1e-3
"""Of the most likely token's probability."""


class Sampler:
    """Chooses one sequence's tokens. Its randomness is its own, so a seed repeats whatever else runs beside it."""

    def __init__(
        self,
        params: SamplingParams,
        prompt: Sequence[int],
        eos_token_ids: frozenset[int] = frozenset(),
        more: Sequence[LogitsProcessor] = (),
        vetoes: Sequence[Veto] = (),
    ) -> None:
        """`more` processors apply after those that `params` ask for."""
        self._params = params
        self._processors = [*processors_of(params, prompt, eos_token_ids), *more]
        self._vetoes = vetoes
        self._generator = torch.Generator()
        if params.seed is not None:
            self._generator.manual_seed(params.seed)
        else:
            self._generator.seed()

    @property
    def forced(self) -> TokenIds:
        """The only tokens that can come next, one behind the other: of them it will choose each."""
        return next((each.forced for each in self._processors if each.forced), ())

    def settles_for(self, best: int) -> bool:
        """Whether `best`, the arg max of the raw logits, is all there is to it."""
        is_plain = self._params.greedy and self._params.logprobs is None
        return is_plain and all(each.leaves(best) for each in self._processors) and not self._is_refused(best)

    def sample(self, logits: torch.Tensor) -> tuple[int, TokenLogprobs | None]:
        """The next token from logits `[vocabulary]` in float32, and its log-probabilities where asked for.

        Raises `NothingAllowed` where none may be chosen.
        """
        masked = logits
        for processor in self._processors:
            masked = processor.mask(masked)
        token_id = self._choose_allowed(masked)
        logprobs = None if self._params.logprobs is None else _logprobs(logits, token_id, self._params.logprobs)
        return token_id, logprobs

    def accept(self, token_id: int) -> None:
        """A token became output."""
        for processor in self._processors:
            processor.advance(token_id)
        for veto in self._vetoes:
            veto.advance(token_id)

    def _choose_allowed(self, logits: torch.Tensor) -> int:
        for _ in range(MOST_REFUSALS):
            if not logits.max().isfinite():
                break
            token_id = self._choose(logits)
            if not self._is_refused(token_id):
                return token_id
            logits = logits.index_fill(0, torch.tensor([token_id], device=logits.device), -math.inf)
        raise NothingAllowed

    def _is_refused(self, token_id: int) -> bool:
        return any(veto.refuses(token_id) for veto in self._vetoes)

    def _choose(self, logits: torch.Tensor) -> int:
        params = self._params
        if params.greedy:
            return int(logits.argmax())
        scaled = ((logits - logits.max()) / params.temperature).cpu()
        if params.top_k > 0 or params.top_p < 1.0 or params.min_p > 0.0:
            return self._choose_among_best(scaled)
        return self._draw(torch.softmax(scaled.double(), dim=-1))

    def _choose_among_best(self, scaled: torch.Tensor) -> int:
        params = self._params
        probabilities = torch.softmax(scaled, dim=-1)
        count = params.top_k if 0 < params.top_k < len(scaled) else len(scaled)
        best, ids = self._best(probabilities, count)
        total = best.sum() if count < len(scaled) else torch.ones(())
        within = best.cumsum(0) - best < params.top_p * total
        kept = within & (best >= params.min_p * best[0])
        kept[0] = True
        return int(ids[self._draw((best * kept).double())])

    def _best(self, probabilities: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The `count` most likely tokens, or those of them that can be chosen: to put all in order is dear."""
        best, ids = _not_unlikely(probabilities)
        if len(best) >= count:
            return best[:count], ids[:count]
        if not self._params.top_k and (self._decides(best) or self._params.min_p >= _UNLIKELY):
            return best, ids
        best, ids = probabilities.topk(min(count, _LIKELY_ENOUGH))
        return (best, ids) if count <= _LIKELY_ENOUGH or self._decides(best) else probabilities.topk(count)

    def _decides(self, best: torch.Tensor) -> bool:
        """Whether what lies beyond the most likely tokens would be cut off anyway."""
        params = self._params
        by_top_p = not params.top_k and bool(best.sum() >= params.top_p) and params.top_p < 1.0
        return by_top_p or bool(best[-1] < params.min_p * best[0])

    def _draw(self, weights: torch.Tensor) -> int:
        """One index by inverse transform: a single random number a token, so that batches cannot shift the sequence."""
        cumulative = weights.cumsum(0)
        point = torch.rand((), generator=self._generator, dtype=torch.float64) * cumulative[-1]
        index = int(torch.searchsorted(cumulative, point, right=True))
        return min(index, int(torch.nonzero(weights)[-1])) if index >= len(weights) else index


def _not_unlikely(probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and ids of the tokens that are not far behind the best one, the likeliest first."""
    ids = (probabilities >= probabilities.max() * _UNLIKELY).nonzero()[:, 0]
    best, order = probabilities[ids].sort(descending=True, stable=True)
    return best, ids[order]


def most_likely(logits: torch.Tensor) -> list[int | None]:
    """The best token of each row of logits `[rows, vocabulary]` in float32; numpy finds it seven times faster.

    None where there is none: a NaN counts as the largest, so a row is sound if its largest number is finite.
    """
    on_cpu = logits.device.type == "cpu"
    best = torch.from_numpy(logits.numpy().argmax(axis=-1)) if on_cpu else logits.argmax(dim=-1)
    sound = logits.gather(-1, best[:, None])[:, 0].isfinite()
    return [token_id if is_sound else None for token_id, is_sound in zip(best.tolist(), sound.tolist(), strict=True)]


def _logprobs(logits: torch.Tensor, token_id: int, count: int) -> TokenLogprobs:
    logprobs = torch.log_softmax(logits, dim=-1)
    best = logprobs.topk(min(count, len(logprobs)))
    top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return TokenLogprobs(token_id, float(logprobs[token_id]), top)
