"""What the chat layer needs of the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from .grammar import Grammar
from .lookback import Lookback
from .promise import Promised, PromiseRequest
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

    def submit_choices(self, requests: Sequence[GenerationRequest]) -> Sequence[Generating]:
        """Several of one prompt, which is computed once for all of them."""
        ...

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

    @property
    def block_size(self) -> int:
        """In how many tokens at a time state is saved."""
        ...

    def promise(self, request: PromiseRequest) -> None:
        """State of these tokens is to stay, once it is computed and saved. Raises `PromiseRefused`."""
        ...

    def settle(self, name: str, *, if_saved: bool = False) -> Promised | None:
        """Waits until what was computed is saved; None if not all of what was promised is, and then it is no promise.

        With `if_saved` it waits for nothing, and what is not saved yet is to be computed first: None too.
        """
        ...

    def withdraw(self, name: str) -> None:
        """Nobody was told of this promise. Harmless once it is settled."""
        ...

    def release(self, name: str) -> None:
        """A promise is not wanted any more."""
        ...

    def release_of(self, owner: str) -> None:
        """Nor are those of a conversation that is deleted."""
        ...

    def promised(self, name: str) -> Promised | None:
        """What is promised under a name now."""
        ...

    def responds(self, timeout_seconds: float) -> bool:
        """Whether it still does what it is asked; waits for so long."""
        ...

    def stats(self) -> dict[str, object]: ...
