"""What a request wishes of the logits before a token is chosen from them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

import torch

from ...engine_api.request import SamplingParams, TokenIds


class LogitsProcessor(Protocol):
    """One sequence's own, made with it and told of every token that it gets."""

    @property
    def forced(self) -> TokenIds:
        """The only tokens that can come next, one behind the other, as far as it knows of any."""
        ...

    def mask(self, logits: torch.Tensor) -> torch.Tensor:
        """Other logits `[vocabulary]` in float32, minus infinity for what must not come; the given ones stay as is."""
        ...

    def leaves(self, best: int) -> bool:
        """Whether `best`, where it is the arg max of the logits, certainly is so of the masked ones too."""
        ...

    def advance(self, token_id: int) -> None:
        """A token became output."""
        ...


class NeverTokens:
    """Keeps some tokens from ever being chosen."""

    forced: TokenIds = ()

    def __init__(self, token_ids: Iterable[int]) -> None:
        self._never = sorted(token_ids)

    def mask(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.index_fill(0, torch.tensor(self._never, device=logits.device), -math.inf)

    def leaves(self, best: int) -> bool:
        return best not in self._never

    def advance(self, token_id: int) -> None: ...


class NotYet:
    """Keeps some tokens from being chosen before there are `count` others."""

    forced: TokenIds = ()

    def __init__(self, count: int, token_ids: Iterable[int]) -> None:
        self._left = count
        self._never = NeverTokens(token_ids)

    def mask(self, logits: torch.Tensor) -> torch.Tensor:
        return self._never.mask(logits) if self._left > 0 else logits

    def leaves(self, best: int) -> bool:
        return self._left <= 0 or self._never.leaves(best)

    def advance(self, token_id: int) -> None:  # noqa: ARG002
        self._left -= 1


class Biases:
    """Adds to the logits of some tokens what the request says."""

    forced: TokenIds = ()

    def __init__(self, biases: Iterable[tuple[int, float]]) -> None:
        self._biases = dict(biases)
        self._largest = max(0.0, *self._biases.values())

    def mask(self, logits: torch.Tensor) -> torch.Tensor:
        ids = torch.tensor(list(self._biases), device=logits.device)
        added = torch.tensor(list(self._biases.values()), dtype=logits.dtype, device=logits.device)
        return logits.index_add(0, ids, added)

    def leaves(self, best: int) -> bool:
        """Where no other gets more than it does."""
        return self._biases.get(best, 0.0) >= self._largest

    def advance(self, token_id: int) -> None: ...


class Penalties:
    """OpenAI's presence and frequency penalties over the output, and a repetition penalty over prompt and output."""

    forced: TokenIds = ()

    def __init__(self, params: SamplingParams, prompt: Sequence[int]) -> None:
        self._params = params
        self._seen = set(prompt) if params.repetition_penalty != 1.0 else set()
        self._counts: Counter[int] = Counter()

    def mask(self, logits: torch.Tensor) -> torch.Tensor:
        params, logits = self._params, logits.clone()
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

    def leaves(self, best: int) -> bool:  # noqa: ARG002
        return False

    def advance(self, token_id: int) -> None:
        self._counts[token_id] += 1
        self._seen.add(token_id)


def processors_of(
    params: SamplingParams, prompt: Sequence[int], eos_token_ids: frozenset[int]
) -> list[LogitsProcessor]:
    """Those that a request needs, in the order in which they apply."""
    needed: list[LogitsProcessor] = []
    if params.logit_bias:
        needed.append(Biases(params.logit_bias))
    if params.penalised:
        needed.append(Penalties(params, prompt))
    if params.ignore_eos and eos_token_ids:
        needed.append(NeverTokens(eos_token_ids))
    if params.min_tokens and (ends := eos_token_ids.union(params.stop_token_ids)):
        needed.append(NotYet(params.min_tokens, ends))
    return needed
