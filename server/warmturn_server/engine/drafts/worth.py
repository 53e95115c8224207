"""How many guesses are worth computing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from ..model.step_costs import StepCosts

MOST_DRAFTS: Final = 7
"""With the token that is sure these are 8 rows, which cost little more than one; few guesses are right for longer."""


class Worth(Protocol):
    @property
    def most(self) -> int:
        """So many of a sequence in a step; 0: it need not be guessed at all."""
        ...

    def count(self, rate: float, most: int, num_tokens: int, num_sequences: int) -> int:
        """How many of at most `most` guesses to try, in a step of `num_tokens` of `num_sequences` without them.

        `rate`: how likely a guess is right if those before it were.
        """
        ...


@dataclass(frozen=True, slots=True)
class Always:
    """Every guess is tried, up to `most`."""

    most: int

    def count(self, rate: float, most: int, num_tokens: int, num_sequences: int) -> int:  # noqa: ARG002
        return most


@dataclass(frozen=True, slots=True)
class WherePaying:
    """As many as make for the most tokens in the least time, on average."""

    costs: StepCosts
    most: int = MOST_DRAFTS

    def count(self, rate: float, most: int, num_tokens: int, num_sequences: int) -> int:
        expected, best, count = float(num_sequences), num_sequences / self.costs.of(num_tokens), 0
        for drafts in range(1, most + 1):
            expected += rate**drafts
            if (speed := expected / self.costs.of(num_tokens + drafts)) > best:
                best, count = speed, drafts
        return count
