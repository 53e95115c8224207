"""The index that every local tier shares: sizes in order of use, a byte budget, what stays, and what was pushed out
lately."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from ..keys import BlockKey

REMEMBERED_EVICTIONS = 100_000


class LRUIndex:
    """Which blocks a tier holds and how large they are. What is pinned does not leave for others. Not locked: its tier
    is."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.num_bytes = 0
        self._sizes: OrderedDict[BlockKey, int] = OrderedDict()
        self._staying: dict[BlockKey, int] = {}
        self._pinned: set[BlockKey] = set()
        self._evicted: OrderedDict[BlockKey, None] = OrderedDict()

    def __contains__(self, key: BlockKey) -> bool:
        return key in self._sizes or key in self._staying

    def __len__(self) -> int:
        return len(self._sizes) + len(self._staying)

    def pin(self, keys: Iterable[BlockKey]) -> None:
        """These are not evicted from now on, here or yet to come. Where they must leave, the first one is first."""
        for key in keys:
            self._pinned.add(key)
            if (num_bytes := self._sizes.pop(key, None)) is not None:
                self._staying[key] = num_bytes

    def unpin(self, keys: Iterable[BlockKey]) -> None:
        """They leave as others do, after all that was used before."""
        for key in keys:
            self._pinned.discard(key)
            if (num_bytes := self._staying.pop(key, None)) is not None:
                self._sizes[key] = num_bytes

    def is_pinned(self, key: BlockKey) -> bool:
        return key in self._pinned

    @property
    def evictable_bytes(self) -> int:
        return self.num_bytes - sum(self._staying.values())

    def touch_chain(self, keys: Sequence[BlockKey]) -> None:
        """Note blocks as used, the first of them last: a chain's head is of use to more conversations than its tail."""
        for key in reversed(keys):
            if key in self._sizes:
                self._sizes.move_to_end(key)

    def leave_first(self, keys: Sequence[BlockKey]) -> None:
        """These are the next to leave, the last of them before the others."""
        for key in keys:
            if key in self._sizes:
                self._sizes.move_to_end(key, last=False)

    def add(self, key: BlockKey, num_bytes: int) -> list[BlockKey]:
        """Note a block as newest; returns the keys that must leave for it, oldest first."""
        self.discard(key)
        (self._staying if key in self._pinned else self._sizes)[key] = num_bytes
        self.num_bytes += num_bytes
        self._evicted.pop(key, None)
        return self._evict()

    def discard(self, key: BlockKey) -> bool:
        num_bytes = self._sizes.pop(key, None)
        if num_bytes is None:
            num_bytes = self._staying.pop(key, None)
        self.num_bytes -= num_bytes or 0
        return num_bytes is not None

    def evict_oldest(self, *, even_pinned: bool = False) -> tuple[BlockKey, int] | None:
        """The block that was used longest ago leaves; its key and size, None if there is none.

        With `even_pinned` one that is pinned, when there are no others.
        """
        if self._sizes:
            key, num_bytes = self._sizes.popitem(last=False)
        elif even_pinned and self._staying:
            key = next(iter(self._staying))
            num_bytes = self._staying.pop(key)
        else:
            return None
        self.num_bytes -= num_bytes
        self._evicted[key] = None
        if len(self._evicted) > REMEMBERED_EVICTIONS:
            self._evicted.popitem(last=False)
        return key, num_bytes

    def was_evicted(self, key: BlockKey) -> bool:
        return key in self._evicted

    def _evict(self) -> list[BlockKey]:
        leaving = []
        while self.num_bytes > self.budget_bytes and (oldest := self.evict_oldest()):
            leaving.append(oldest[0])
        return leaving
