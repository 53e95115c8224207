"""Several replies to one prompt: how each is random in its own way, and how they are heard together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from ..engine_api import SamplingParams
from .model import TurnId
from .reply_delta import ReplyDelta
from .running_turn import RunningTurn

MOST_CHOICES: Final = 32
_SEEDS: Final = 2**64
_LOWEST_SEED: Final = -(2**63)

_T = TypeVar("_T")


def of_choice(sampling: SamplingParams, number: int) -> SamplingParams:
    """A seed is that of the first; each further one has the next seed, behind the highest the lowest."""
    if sampling.seed is None:
        return replace(sampling)
    return replace(sampling, seed=(sampling.seed + number - _LOWEST_SEED) % _SEEDS + _LOWEST_SEED)


class Choices:
    """The turns of one request, one for each choice. Always `close` them."""

    def __init__(self, turns: Sequence[RunningTurn]) -> None:
        self.turns = turns

    @property
    def id(self) -> TurnId:
        """That of the first: it names all of them."""
        return self.turns[0].id

    async def deltas(self) -> AsyncIterator[tuple[RunningTurn, ReplyDelta | None]]:
        """As they come; None when a turn is over. Raises what any of them failed with."""
        async for number, delta in interleaved([turn.deltas() for turn in self.turns]):
            yield self.turns[number], delta

    def close(self) -> None:
        for turn in self.turns:
            turn.close()


async def interleaved(streams: Sequence[AsyncIterator[_T]]) -> AsyncIterator[tuple[int, _T | None]]:
    """Of all of them, each with the stream's number, None at its end; nobody runs ahead of the reader by more than one.

    Raises what the first of them raises that does.
    """
    if len(streams) == 1:
        async for only in streams[0]:
            yield 0, only
        yield 0, None
        return
    told = asyncio.Queue[tuple[int, _T | Exception | None]](maxsize=1)
    readers = [asyncio.create_task(_read(number, stream, told)) for number, stream in enumerate(streams)]
    try:
        left = len(streams)
        while left:
            number, said = await told.get()
            if isinstance(said, Exception):
                raise said
            left -= said is None
            yield number, said
    finally:
        said = None  # a failure would know this frame, and this frame it
        for reader in readers:
            reader.cancel()


async def _read(number: int, stream: AsyncIterator[_T], told: asyncio.Queue[tuple[int, _T | Exception | None]]) -> None:
    try:
        async for said in stream:
            await told.put((number, said))
        await told.put((number, None))
    except Exception as error:
        await told.put((number, error))
