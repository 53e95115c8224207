"""What the chat layer needs of the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from .grammar import Grammar
from .lookback import Lookback
from .report import Located, TokenDelta
from .request import AheadRequest, GenerationRequest


class Generating(Protocol):
    """One running turn: what it says, and the way to stop it."""

    def __aiter__(self) -> AsyncIterator[TokenDelta]: ...

    def cancel(self) -> None: ...

    async def lookback(self) -> Lookback | None:
        """What its output looked at, once it is over; None where that was not asked for or cannot be told."""


class TurnEngine(Protocol):
    @property
    def model_name(self) -> str: ...

    @property
    def context_length(self) -> int: ...

    @property
    def max_tokens(self) -> int:
        """The longest prompt and reply that both the model's context and the memory for its state allow."""
        ...

    def compile(self, grammar: Grammar, tenant: str) -> None:
        """Make ready for an output of this form, which may take a second; raises `InvalidRequest` if there is none."""
        ...

    def submit(self, request: GenerationRequest) -> Generating: ...

    def forget(self, tenant: str, token_ids: Sequence[int], keep_tokens: int = 0) -> None: ...

    def block_keys(self, tenant: str, token_ids: Sequence[int], keep_tokens: int = 0) -> list[bytes]:
        """Names of the state that a turn which saw these tokens leaves behind; they do not tell the tokens."""
        ...

    def forget_blocks(self, tenant: str, keys: Sequence[bytes]) -> None: ...

    async def prefetch(self, tenant: str, token_ids: Sequence[int]) -> Located | None:
        """Begin to bring saved state here; what the tiers hold of it, None where too much is asked for already."""

    def prepare(self, request: AheadRequest) -> None:
        """Compute the beginning of an expected prompt while nobody waits for anything."""
        ...

    def abandon(self, tenant: str, follows: str) -> None:
        """What was prepared to follow on this will not be asked for."""
        ...

    def stats(self) -> dict[str, object]: ...
