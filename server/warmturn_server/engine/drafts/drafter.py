"""Which tokens a step computes on trial, beside those that are sure."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

from ...engine_api.request import ReuseMode, TokenIds
from ..sequence import Sequence
from .acceptance import Acceptance
from .lookup import Guess, Lookup
from .worth import Worth

_MOST_FORCED: Final = 63
"""These are right for certain. With the token before them they are rows of which each costs a fraction of a step."""


@dataclass(slots=True)
class _Following:
    """One sequence's text, and the guess that was made when it had `length` tokens."""

    lookup: Lookup
    acceptance: Acceptance = field(default_factory=Acceptance)
    guess: Guess = field(default_factory=Guess)
    length: int = 0

    def next_guess(self, token_ids: Items[int], most: int) -> Guess:
        if self.guess.token_ids:
            self.acceptance.learn(self.guess, token_ids[self.length :])
        self.lookup.keep_up(token_ids)
        self.guess, self.length = self.lookup.guess(most), len(token_ids)
        return self.guess


class Drafter:
    """Looks guesses up for all sequences that decode, and learns from what came. Belongs to the engine's thread."""

    def __init__(self, worth: Worth) -> None:
        self._worth = worth
        self._following: WeakKeyDictionary[Sequence, _Following] = WeakKeyDictionary()

    def drafts(self, step: Items[tuple[Sequence, int]]) -> list[TokenIds]:
        """For each sequence of a step, of which so many tokens are computed for sure, those to compute on trial."""
        if not self._worth.most:
            return [()] * len(step)
        num_tokens = sum(count for _, count in step)
        return [self._drafts(sequence, num_tokens, len(step)) if _may_draft(sequence) else () for sequence, _ in step]

    def _drafts(self, sequence: Sequence, num_tokens: int, num_sequences: int) -> TokenIds:
        if forced := sequence.sampler.forced[: min(sequence.num_left - 1, _MOST_FORCED)]:
            return forced
        following = self._following.get(sequence) or self._follow(sequence)
        guess = following.next_guess(sequence.token_ids, self._worth.most)
        most = min(len(guess.token_ids), sequence.num_left - 1)
        count = self._worth.count(following.acceptance.rate(guess), most, num_tokens, num_sequences)
        return guess.token_ids[:count]

    def _follow(self, sequence: Sequence) -> _Following:
        lookup = Lookup(sequence.request.near_copies, sequence.token_ids, sequence.max_tokens)
        self._following[sequence] = _Following(lookup)
        return self._following[sequence]


def _may_draft(sequence: Sequence) -> bool:
    """One that is looked back at has its queries collected, once each: those of refused tokens would stay. Who asks for
    log-probabilities may compare them, and in a step of several tokens the last digits are others."""
    request = sequence.request
    is_plain = request.reuse is not ReuseMode.NOTHING and request.sampling.logprobs is None
    return is_plain and sequence.queries is None and sequence.num_output_tokens > 0
