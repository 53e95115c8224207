"""How many tokens of a reply a mode may compute, so that nobody waits for minutes to see that it is slow."""

from typing import Final

MOST_TOKENS: Final = 48
"""Of a reply, in every mode."""
_GROWTH: Final = 1.1
"""Of what a turn takes, from one to the next, whose prompt is longer."""


class Allowance:
    """Seconds for all turns of a mode; what early ones leave, later ones have. Each gets its fewest tokens anyway."""

    def __init__(self, seconds: float, turns: int, fewest_tokens: int) -> None:
        self._seconds = seconds
        self._turns = turns
        self._fewest_tokens = fewest_tokens
        self._first_seconds = self._token_seconds = 0.0

    def expect(self, token_seconds: float) -> None:
        """Of the first turn, for its first token as for each that follows."""
        self._first_seconds = self._token_seconds = token_seconds

    def tokens(self) -> int:
        """Of the next reply at most."""
        if self._token_seconds == 0:
            return MOST_TOKENS
        share = self._seconds / max(self._turns, 1)
        further = (share / _GROWTH - self._first_seconds) / self._token_seconds
        return max(self._fewest_tokens, min(1 + int(further), MOST_TOKENS))

    def spent(self, first_seconds: float, seconds: float, tokens: int) -> None:
        """By a turn: until its first token, and until its last."""
        self._turns -= 1
        self._seconds = max(self._seconds - seconds, 0.0)
        self._first_seconds = first_seconds
        if tokens > 1 and seconds > first_seconds:
            self._token_seconds = (seconds - first_seconds) / (tokens - 1)

    def left_out_seconds(self, tokens: int) -> float:
        """About what so many tokens more of the last reply would have taken."""
        return tokens * self._token_seconds
