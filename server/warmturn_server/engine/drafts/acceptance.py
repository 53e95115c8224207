"""How often a sequence's guesses come true, learned from all of them, whether the model computed them or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .lookup import Guess

_FADING: Final = 0.9
"""What a guess tells counts for so much less with each later one."""
_LENGTHS: Final = (2, 3, 5, 9)
"""Matches from so many tokens on are alike: the longer one is, the likelier does its text go on as before."""
_AT_FIRST: Final = (0.3, 0.4, 0.55, 0.75)
_BELIEF: Final = 2.0
"""As if so many guesses had come true or not at that rate before."""


class Acceptance:
    """The likelihood that a guessed token is right where those before it were."""

    def __init__(self) -> None:
        self._tried = [_BELIEF] * len(_LENGTHS)
        self._right = [_BELIEF * rate for rate in _AT_FIRST]

    def rate(self, guess: Guess) -> float:
        kind = _kind(guess)
        return self._right[kind] / self._tried[kind]

    def learn(self, guess: Guess, said: Sequence[int]) -> None:
        """What really came where `guess` was made."""
        right = agreeing(guess.token_ids, said)
        tried = min(right + 1, len(guess.token_ids), len(said))
        kind = _kind(guess)
        self._tried[kind] = _FADING * self._tried[kind] + tried
        self._right[kind] = _FADING * self._right[kind] + right


def agreeing(guessed: Sequence[int], said: Sequence[int]) -> int:
    """How many tokens at the beginning are the same."""
    pairs = enumerate(zip(guessed, said, strict=False))
    return next((number for number, (one, other) in pairs if one != other), min(len(guessed), len(said)))


def _kind(guess: Guess) -> int:
    return max(sum(length <= guess.matched for length in _LENGTHS) - 1, 0)
