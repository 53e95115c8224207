"""What the chat layer needs of the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from typing import Protocol

from .report import Located, TokenDelta
from .request import GenerationRequest


class Generating(Protocol):
    """One running turn: what it says, and the way to stop it."""

    def __aiter__(self) -> AsyncIterator[TokenDelta]: ...

    def cancel(self) -> None: ...


class TurnEngine(Protocol):
    @property
    def model_name(self) -> str: ...

    @property
    def context_length(self) -> int: ...

    def submit(self, request: GenerationRequest) -> Generating: ...

    def forget(self, tenant: str, token_ids: Sequence[int], keep_tokens: int = 0) -> None: ...

    def prefetch(self, tenant: str, token_ids: Sequence[int]) -> Future[Located] | None: ...

    def stats(self) -> dict[str, object]: ...
