"""From logits to the next token, one sequence's wishes at a time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch

from ...engine_api.report import TokenLogprobs
from ...engine_api.request import SamplingParams

_LIKELY_ENOUGH = 512


class Sampler:
    """Chooses one sequence's tokens. Its randomness is its own, so a seed repeats whatever else runs beside it."""

    def __init__(
        self, params: SamplingParams, prompt: Sequence[int], eos_token_ids: frozenset[int] = frozenset()
    ) -> None:
        self._params = params
        self._never = sorted(eos_token_ids) if params.ignore_eos else []
        self._seen = set(prompt) if params.repetition_penalty != 1.0 else set()
        self._counts: Counter[int] = Counter()
        self._generator = torch.Generator()
        if params.seed is not None:
            self._generator.manual_seed(params.seed)
        else:
            self._generator.seed()

    def settles_for(self, best: int) -> bool:
        """Whether `best`, the arg max of the raw logits, is all there is to it."""
        params = self._params
        return params.greedy and not params.penalised and params.logprobs is None and best not in self._never

    def sample(self, logits: torch.Tensor) -> tuple[int, TokenLogprobs | None]:
        """The next token from logits `[vocabulary]` in float32, and its log-probabilities where asked for."""
        token_id = self._choose(self._penalised(self._possible(logits)))
        logprobs = None if self._params.logprobs is None else _logprobs(logits, token_id, self._params.logprobs)
        return token_id, logprobs

    def accept(self, token_id: int) -> None:
        """Count a token that became output."""
        if self._params.penalised:
            self._counts[token_id] += 1
            self._seen.add(token_id)

    def _possible(self, logits: torch.Tensor) -> torch.Tensor:
        if not self._never:
            return logits
        return logits.index_fill(0, torch.tensor(self._never, device=logits.device), -math.inf)

    def _choose(self, logits: torch.Tensor) -> int:
        params = self._params
        if params.greedy:
            return int(logits.argmax())
        scaled = (logits / params.temperature).cpu()
        if params.top_k > 0 or params.top_p < 1.0 or params.min_p > 0.0:
            return self._choose_among_best(scaled)
        return self._draw(torch.softmax(scaled.double(), dim=-1))

    def _choose_among_best(self, scaled: torch.Tensor) -> int:
        params = self._params
        probabilities = torch.softmax(scaled, dim=-1)
        count = params.top_k if 0 < params.top_k < len(scaled) else len(scaled)
        best, ids = probabilities.topk(min(count, _LIKELY_ENOUGH))
        if count > _LIKELY_ENOUGH and not self._decides(best):
            best, ids = probabilities.topk(count)
        total = best.sum() if count < len(scaled) else torch.ones(())
        within = best.cumsum(0) - best < params.top_p * total
        kept = within & (best >= params.min_p * best[0])
        kept[0] = True
        return int(ids[self._draw((best * kept).double())])

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

    def _penalised(self, logits: torch.Tensor) -> torch.Tensor:
        params = self._params
        if not params.penalised:
            return logits
        logits = logits.clone()
        if params.repetition_penalty != 1.0 and self._seen:
            seen = torch.tensor(sorted(self._seen), device=logits.device)
            before = logits[seen]
            logits[seen] = torch.where(
                before > 0, before / params.repetition_penalty, before * params.repetition_penalty
            )
        if self._counts:
            ids = torch.tensor(list(self._counts), device=logits.device)
            counts = torch.tensor(list(self._counts.values()), dtype=logits.dtype, device=logits.device)
            logits[ids] -= params.presence_penalty + params.frequency_penalty * counts
        return logits


def most_likely(logits: torch.Tensor) -> list[int]:
    """The best token of each row of logits `[rows, vocabulary]` in float32; numpy finds it seven times faster."""
    if logits.device.type == "cpu":
        return logits.numpy().argmax(axis=-1).tolist()  # type: ignore[no-any-return]
    return logits.argmax(dim=-1).tolist()


def _logprobs(logits: torch.Tensor, token_id: int, count: int) -> TokenLogprobs:
    logprobs = torch.log_softmax(logits, dim=-1)
    best = logprobs.topk(min(count, len(logprobs)))
    top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return TokenLogprobs(token_id, float(logprobs[token_id]), top)
