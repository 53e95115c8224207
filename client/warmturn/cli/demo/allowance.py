"""How much the slowest mode may compute, so that nobody waits for minutes to see that it is slow."""

from typing import Final

MOST_TOKENS: Final = 48
"""Of a reply, in every mode."""
_LEAST_TOKENS: Final = 2
_GROWTH: Final = 1.1
"""Of the time for a token, from a turn to the next one, whose prompt is longer."""


class Allowance:
    """Seconds for all its turns together; what early turns leave, later ones have. Each gets a few tokens anyway."""

    def __init__(self, seconds: float, turns: int) -> None:
        self._seconds = seconds
        self._turns = turns
        self._token_seconds = 0.0

    def expect(self, token_seconds: float) -> None:
        """Of the first turn."""
        self._token_seconds = token_seconds

    def tokens(self) -> int:
        """Of the next reply at most."""
        if self._token_seconds == 0:
            return MOST_TOKENS
        share = self._seconds / max(self._turns, 1)
        return max(_LEAST_TOKENS, min(int(share / (_GROWTH * self._token_seconds)), MOST_TOKENS))

    def spent(self, seconds: float, tokens: int) -> None:
        """By a turn."""
        self._turns -= 1
        self._seconds = max(self._seconds - seconds, 0.0)
        self._token_seconds = seconds / max(tokens, 1)

    def left_out_seconds(self, tokens: int) -> float:
        """About what so many tokens more of the last reply would have taken."""
        return tokens * self._token_seconds
