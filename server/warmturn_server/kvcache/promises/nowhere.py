"""A server without a tier that could keep anything promised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...engine_api.promise import BrokenBecause
from ..keys import BlockKey
from .ledger import Ledger
from .limits import Limits
from .promises import Promises


class _NoTier:
    def contains(self, keys: Sequence[BlockKey]) -> list[bool]:
        return [False] * len(keys)

    def pin(self, keys: Iterable[BlockKey]) -> None: ...

    def unpin(self, keys: Iterable[BlockKey]) -> None: ...

    def has_room(self, num_bytes: int) -> bool:
        return num_bytes == 0


class _Nobody:
    def promise_made(self) -> None: ...

    def promise_refused(self) -> None: ...

    def promise_broken(self, reason: BrokenBecause) -> None: ...


def no_promises() -> Promises:
    """Each is refused."""
    return Promises(_NoTier(), Ledger(None), Limits(budget_bytes=0, longest_seconds=0), _Nobody())
