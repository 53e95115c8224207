"""What a place for blocks must offer. A tier keeps bytes; what they mean is the codec's business."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol

from ..keys import BlockKey

Block = bytes | bytearray | memoryview
Medium = Literal["memory", "disk", "network"]


class TierUnavailable(Exception):
    """The tier cannot answer now; the message says why. What it holds is not lost for that."""


class TierFull(TierUnavailable):
    """The tier takes no more blocks for now; those that it holds can be read as ever."""


class Tier(Protocol):
    """A bounded store of blocks, least recently used out first. Every method may raise `TierUnavailable`.

    Safe to use from several threads. Over a network (`medium`) every call but `evicted` may wait, so that no thread
    that others wait for may make it.
    """

    name: str
    medium: Medium

    def contains(self, keys: Sequence[BlockKey]) -> list[bool]:
        """For each key whether a `get_many` now would probably find it."""
        ...

    def get_many(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Block]:
        """The blocks that are here; a miss is simply absent. Counts as a use of each."""
        ...

    def put_many(self, blocks: Mapping[BlockKey, Block]) -> None:
        """Keep these blocks, pushing out others where the budget asks for it."""
        ...

    def remove_many(self, keys: Collection[BlockKey]) -> None:
        """Forget these blocks; unknown keys are fine."""
        ...

    def used(self, keys: Sequence[BlockKey]) -> None:
        """These are one chain, head first, that was of use: its head shall be the last of them to leave."""
        ...

    def leave_first(self, keys: Sequence[BlockKey]) -> None:
        """Nobody is expected to want these of a chain any more, head first: before all others they leave."""
        ...

    def evicted(self, key: BlockKey) -> bool:
        """Whether this block was here lately and had to make room."""
        ...

    def close(self) -> None:
        """End every call under way; there will be no more."""
        ...

    @property
    def num_bytes(self) -> int | None:
        """What it holds; None where only somebody else could know."""
        ...

    @property
    def num_blocks(self) -> int | None: ...

    @property
    def budget_bytes(self) -> int | None: ...

    @property
    def facts(self) -> Mapping[str, object]:
        """What else its operator should see."""
        ...
