"""How turns are sent: by so many clients, or at a rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from random import Random
from typing import Protocol

from warmturn_bench.plan import Part

Play = Callable[[Part, int, float], Awaitable[None]]
"""Plays a turn of a part that is due at a moment of `time.perf_counter`."""


class Load(Protocol):
    async def run(self, parts: Sequence[Part], play: Play, rng: Random) -> None: ...


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Each client has one turn under way at most, and begins the next as soon as the last one ended."""

    clients: int

    async def run(self, parts: Sequence[Part], play: Play, rng: Random) -> None:
        del rng
        waiting = iter(parts)

        async def client() -> None:
            for part in waiting:
                for turn in range(part.first, part.last):
                    await play(part, turn, time.perf_counter())

        async with asyncio.TaskGroup() as clients:
            for _ in range(min(self.clients, len(parts))):
                clients.create_task(client())


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Turns are due at random moments, `rate` a second on average, no matter how far the server is.

    A conversation's turn that is due before the one before it has ended waits for it, and that wait is counted.
    """

    rate: float

    async def run(self, parts: Sequence[Part], play: Play, rng: Random) -> None:
        began = time.perf_counter()
        lanes = {part.script.conversation: asyncio.Lock() for part in parts}

        async def arrive(part: Part, turn: int, due: float) -> None:
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            async with lanes[part.script.conversation]:
                await play(part, turn, due)

        async with asyncio.TaskGroup() as arriving:
            for (part, turn), second in zip(in_turn(parts), poisson_arrivals(self.rate, rng), strict=False):
                arriving.create_task(arrive(part, turn, began + second))


def in_turn(parts: Sequence[Part]) -> Iterator[tuple[Part, int]]:
    """One turn of each conversation after the other, so that a conversation has as long a break as can be."""
    turns = ([(part, turn) for turn in range(part.first, part.last)] for part in parts)
    return (one for one in chain.from_iterable(zip_longest(*turns)) if one is not None)


def poisson_arrivals(per_second: float, rng: Random) -> Iterator[float]:
    """Seconds from the start, for ever: independent users come at this rate on average, whatever the server does."""
    moment = 0.0
    while True:
        moment += rng.expovariate(per_second)
        yield moment
