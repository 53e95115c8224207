"""Which tokens a step computes on trial, beside those that are sure."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from typing import Protocol
from weakref import WeakKeyDictionary

from ...engine_api.request import ReuseMode, TokenIds
from ..model.effort import Effort
from ..sequence import Sequence
from .acceptance import Acceptance
from .lookup import Guess, Lookup

MOST_DRAFTS = 7
"""With the token that is sure these are 8 rows, which cost hardly more than one; few guesses are right for longer."""


class Worth(Protocol):
    """How many guesses to try."""

    @property
    def most(self) -> int: ...

    def least_rate(self, effort: Effort, context: int, num_tokens: int) -> float:
        """Likelihood from which on one more token after `context` others pays in a step that computes `effort`, from
        which `num_tokens` come for sure."""
        ...


@dataclass(frozen=True, slots=True)
class Always:
    """Every guess is tried, `most` of a sequence at a time; with 0 none is."""

    most: int

    def least_rate(self, effort: Effort, context: int, num_tokens: int) -> float:  # noqa: ARG002
        return 0.0


class RowCosts(Protocol):
    def share_of_token(self, effort: Effort, context: int) -> float: ...


@dataclass(frozen=True, slots=True)
class WherePaying:
    """A guess is tried where the tokens that it brings on average come at less than what they cost otherwise."""

    costs: RowCosts
    most: int = MOST_DRAFTS

    def least_rate(self, effort: Effort, context: int, num_tokens: int) -> float:
        return num_tokens * self.costs.share_of_token(effort, context)


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
        effort = Effort.of_step([(count, sequence.kv.length) for sequence, count in step])
        return [self._drafts(sequence, effort, len(step)) if _decodes(sequence) else () for sequence, _ in step]

    def _drafts(self, sequence: Sequence, effort: Effort, num_sequences: int) -> TokenIds:
        following = self._following.get(sequence) or self._follow(sequence)
        guess = following.next_guess(sequence.token_ids, self._worth.most)
        if not guess.token_ids:
            return ()
        rate = following.acceptance.rate(guess)
        least = self._worth.least_rate(effort, len(sequence.token_ids), num_sequences)
        count = next((n for n in range(len(guess.token_ids)) if rate ** (n + 1) < least), len(guess.token_ids))
        return guess.token_ids[: min(count, sequence.num_left - 1)]

    def _follow(self, sequence: Sequence) -> _Following:
        lookup = Lookup(sequence.request.near_copies, sequence.token_ids, sequence.max_tokens)
        self._following[sequence] = _Following(lookup)
        return self._following[sequence]


def _decodes(sequence: Sequence) -> bool:
    """One that is looked back at has its queries collected, once each: those of refused tokens would stay."""
    may_reuse = sequence.request.reuse is not ReuseMode.NOTHING
    return may_reuse and sequence.queries is None and sequence.num_output_tokens > 0
