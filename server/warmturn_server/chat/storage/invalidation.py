"""What a server that deleted something tells the others: they may hold saved state of it too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .store import Forgotten

Forget = Callable[[str, Sequence[int], int], None]
"""Of a tenant, the state of these tokens but for so many at their beginning."""


class Invalidations(Protocol):
    def emit(self, tenant: str, forgotten: Sequence[Forgotten]) -> None:
        """Never raises: what is not emitted stays with the others until they evict it."""
        ...

    def follow(self, forget: Forget) -> None:
        """Forgets what others emit, from now on and on a thread of its own."""
        ...

    def close(self) -> None: ...


class NoPeers:
    """A server that has its log to itself."""

    def emit(self, tenant: str, forgotten: Sequence[Forgotten]) -> None: ...

    def follow(self, forget: Forget) -> None: ...

    def close(self) -> None: ...


def longest(forgotten: Sequence[Forgotten]) -> list[Forgotten]:
    """Without those that another one begins with: forgetting that one forgets them."""
    kept: list[Forgotten] = []
    for entry in sorted(forgotten, key=lambda entry: len(entry.record), reverse=True):
        ids = entry.record.token_ids
        if not any(
            other.record.token_ids[: len(ids)] == ids and other.shared_tokens <= entry.shared_tokens for other in kept
        ):
            kept.append(entry)
    return kept
