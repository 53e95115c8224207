"""What a server that deleted something tells the others: they may hold saved state of it too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

Forget = Callable[[str, Sequence[bytes]], None]
"""Of a tenant, the blocks of these names: unlike token ids they tell nobody what was deleted."""


class Invalidations(Protocol):
    def emit(self, tenant: str, keys: Sequence[bytes]) -> None:
        """Never raises: what is not emitted stays with the others until they evict it."""
        ...

    def follow(self, forget: Forget) -> None:
        """Forgets what others emit, from now on and on a thread of its own."""
        ...

    def close(self) -> None: ...


class NoPeers:
    """A server that has its log to itself."""

    def emit(self, tenant: str, keys: Sequence[bytes]) -> None: ...

    def follow(self, forget: Forget) -> None: ...

    def close(self) -> None: ...
