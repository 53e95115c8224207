"""A list that grows while others read it: each from any place on, as fast as it likes, until it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Growing(Generic[_T]):
    def __init__(self) -> None:
        self.items: list[_T] = []
        self.is_whole = False
        self._news = asyncio.Event()

    def add(self, item: _T) -> None:
        self.items.append(item)
        self.wake()

    def finish(self) -> None:
        self.is_whole = True
        self.wake()

    def wake(self) -> None:
        """Have every reader look again."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self) -> None:
        await self._news.wait()


class Reading(Generic[_T]):
    """One reader's way through it, which ends where it does, or when it is closed."""

    def __init__(self, name: str, growing: Growing[_T], start: int = 0) -> None:
        """`name`: of what is read."""
        self.id = name
        self._growing = growing
        self._next = start
        self._has_gone = False

    def close(self) -> None:
        self._has_gone = True
        self._growing.wake()

    async def __aiter__(self) -> AsyncIterator[_T]:
        while not self._has_gone:
            if self._next < len(self._growing.items):
                self._next += 1
                yield self._growing.items[self._next - 1]
            elif self._growing.is_whole:
                return
            else:
                await self._growing.news()
