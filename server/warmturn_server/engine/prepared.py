"""What is known of state that was computed before anybody asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..engine_api.request import AheadRequest

UNHEARD_SECONDS: Final = 120.0
"""Of what is typed: after so long it is taken for abandoned."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A prompt's beginning, of which the first `found_tokens` had been computed for earlier turns."""

    request: AheadRequest
    found_tokens: int
    asked: float

    def is_abandoned(self, moment: float) -> bool:
        return self.request.cause == "typing" and moment >= self.asked + UNHEARD_SECONDS


def goes_on(typed: AheadRequest, reply: AheadRequest) -> bool:
    """Whether the user began to type before it was told what the next prompt begins with."""
    ids = reply.token_ids
    return (typed.cause, reply.cause) == ("typing", "reply") and typed.token_ids[: len(ids)] == ids


def concerns(request: AheadRequest, token_ids: Sequence[int], keep_tokens: int) -> bool:
    """Whether it has more of these tokens than the first `keep_tokens`, or goes on from a turn that does."""
    chains = request.origin, request.token_ids
    return any(common(chain, token_ids) > keep_tokens for chain in chains)


def common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((number for number, (one, other) in pairs if one != other), min(len(first), len(second)))
