"""The tier in this process's own memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence

from ..keys import BlockKey
from .lru import LRUIndex
from .tier import Block, Medium


class RamTier:
    """Blocks in a dictionary."""

    name = "ram"
    medium: Medium = "memory"

    def __init__(self, budget_bytes: int) -> None:
        self._index = LRUIndex(budget_bytes)
        self._blocks: dict[BlockKey, Block] = {}
        self._lock = threading.Lock()

    def contains(self, keys: Sequence[BlockKey]) -> list[bool]:
        with self._lock:
            return [key in self._index for key in keys]

    def get_many(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Block]:
        with self._lock:
            found = {key: self._blocks[key] for key in keys if key in self._blocks}
            self._index.touch_chain(list(found))
            return found

    def put_many(self, blocks: Mapping[BlockKey, Block]) -> None:
        with self._lock:
            for key, block in blocks.items():
                if len(block) > self._index.budget_bytes:
                    continue
                self._blocks[key] = block
                for leaving in self._index.add(key, len(block)):
                    del self._blocks[leaving]

    def remove_many(self, keys: Collection[BlockKey]) -> None:
        with self._lock:
            for key in keys:
                if self._index.discard(key):
                    del self._blocks[key]

    def used(self, keys: Sequence[BlockKey]) -> None:
        with self._lock:
            self._index.touch_chain(keys)

    def leave_first(self, keys: Sequence[BlockKey]) -> None:
        with self._lock:
            self._index.leave_first(keys)

    def evicted(self, key: BlockKey) -> bool:
        return self._index.was_evicted(key)

    def close(self) -> None: ...

    @property
    def num_bytes(self) -> int:
        return self._index.num_bytes

    @property
    def num_blocks(self) -> int:
        return len(self._index)

    @property
    def budget_bytes(self) -> int:
        return self._index.budget_bytes

    @property
    def facts(self) -> Mapping[str, object]:
        return {}
