"""Saved state of one conversation, on its way out of a server and into another one: block by block, as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .report import MissReason


class LeavingState(Protocol):
    """What the tiers hold of some tokens, from the first on. Reading waits for disk and network."""

    @property
    def lengths(self) -> Sequence[int]:
        """How many tokens each block has; without a gap."""
        ...

    def read(self, number: int) -> bytes | None:
        """A block, proved to be the one that it should be; None if it has left meanwhile."""
        ...


class ArrivingState(Protocol):
    """Blocks that somebody brings for some tokens. Until they `settle` they are only kept for a while."""

    def lacking(self) -> Sequence[int]:
        """Numbers of the blocks that are not here yet, and that there is room for."""
        ...

    def take(self, number: int, block: bytes) -> MissReason | None:
        """Keep a block; or why it is not what it should be."""
        ...

    def settle(self) -> int:
        """From now on they are a conversation's; of how many tokens, from the first on, there is state."""
        ...

    def abandon(self) -> None:
        """Nothing comes of it: what was taken goes."""
        ...


class StateCarrier(Protocol):
    @property
    def fingerprint(self) -> str:
        """State of another one is of no use here; hex."""
        ...

    def leaving(self, tenant: str, token_ids: Sequence[int]) -> LeavingState:
        """Waits until what is being saved is."""
        ...

    def arriving(self, tenant: str, token_ids: Sequence[int], lengths: Sequence[int]) -> ArrivingState | None:
        """None where these are no lengths of blocks that such tokens are saved in here."""
        ...

    def decline(self, tenant: str, token_ids: Sequence[int], at_token: int, reason: MissReason) -> None:
        """State of these tokens from `at_token` on was brought and not taken: the turn that misses it says why."""
        ...
