"""Which tokens may come next, computed while the model computes what it would like to come next."""

from __future__ import annotations

import math
from concurrent.futures import Executor, Future

import numpy as np
import torch
from llguidance import LLMatcher
from numpy.typing import NDArray

from ....engine_api.request import TokenIds
from ....errors import NothingAllowed

Allowed = NDArray[np.bool_]


class GrammarMask:
    """A `LogitsProcessor`: keeps a sequence's output within a grammar, and lets it end only where the grammar does.

    The mask of the next token is made on another thread, which lets go of the interpreter's lock, from the moment that
    the token before it is known: the forward pass in between takes longer.

    Where the grammar leaves a single text, its tokens are `forced` at once, cut as the tokenizer would cut them.
    """

    def __init__(self, matcher: LLMatcher, never: Allowed, beside: Executor, given_as: str) -> None:
        """`never[token]`: special tokens, which no text has; ends are not among them. `given_as`: for what fails."""
        self._matcher = matcher
        self._never = never
        self._beside = beside
        self._given_as = given_as
        self.forced = self._only_tokens()
        self._allowed: Future[Allowed] = beside.submit(self._compute)

    def mask(self, logits: torch.Tensor) -> torch.Tensor:
        """See `LogitsProcessor`. Raises `NothingAllowed` where the grammar grew beyond what the library follows."""
        forbidden = torch.from_numpy(~self._allowed.result()[: len(logits)])
        return logits.masked_fill(forbidden.to(logits.device), -math.inf)

    def leaves(self, best: int) -> bool:
        return bool(self._allowed.result()[best])

    def advance(self, token_id: int) -> None:
        if not self._matcher.is_stopped():
            self._matcher.consume_token(token_id)
        self.forced = self.forced[1:] if self.forced[:1] == (token_id,) else ()
        self.forced = self.forced or self._only_tokens()
        self._allowed = self._beside.submit(self._compute)

    def _only_tokens(self) -> TokenIds:
        return () if self._matcher.is_stopped() else tuple(self._matcher.compute_ff_tokens())

    def _compute(self) -> Allowed:
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise NothingAllowed(f"The output's form cannot be followed: {self._matcher.get_error()}", self._given_as)
        return np.unpackbits(bits, count=len(self._never), bitorder="little").astype(np.bool_) & ~self._never
