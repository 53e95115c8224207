"""The turns that run on this server: how many there may be, and how they end when it goes down."""

from __future__ import annotations

import asyncio
from typing import Final

from ..errors import Overloaded
from .model import ConversationId, TurnId
from .principal import Principal
from .running_turn import RunningTurn

_ENDING_SECONDS: Final = 5.0
_STEPS_TO_NOTICE: Final = 8


class RunningTurns:
    def __init__(self) -> None:
        self._turns: dict[tuple[str, TurnId], RunningTurn] = {}
        self._runs: set[asyncio.Task[None]] = set()
        """Those of turns that were dropped too: nobody else holds them to their end."""
        self.takes_no_more = False

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, turn: RunningTurn) -> None:
        self._turns[turn.request.tenant, turn.id] = turn
        self._runs.add(turn.run)
        turn.run.add_done_callback(self._runs.discard)

    def ended(self, turn: RunningTurn) -> None:
        self._turns.pop((turn.request.tenant, turn.id), None)

    def get(self, tenant: str, turn_id: TurnId) -> RunningTurn | None:
        return self._turns.get((tenant, turn_id))

    def choices_of(self, turn: RunningTurn) -> list[RunningTurn]:
        """Those of its request that still run."""
        return [each for each in self._turns.values() if each.choice_of == turn.choice_of]

    def has(self, tenant: str, conversation_id: ConversationId) -> bool:
        """Whether a turn of this conversation runs here."""
        place = tenant, conversation_id
        return any((turn.request.tenant, turn.request.conversation_id) == place for turn in self._turns.values())

    def refuse_when_leaving(self) -> None:
        if self.takes_no_more:
            raise Overloaded("The server is shutting down and takes no more turns; try again.", code="shutting_down")

    def refuse_too_many(self, principal: Principal, count: int = 1) -> None:
        """`count`: that are to be added; each choice is one."""
        most = principal.limits.turns_at_once
        if most is not None and sum(tenant == principal.tenant for tenant, _ in self._turns) + count > most:
            raise Overloaded(f"at most {most} of your turns may run or wait at once; try again later")

    async def await_stopped(self, tenant: str, conversation_id: ConversationId) -> None:
        """Until the conversation's turns that were stopped are written down; who stopped one need not know of that.

        A connection that was closed before the request that asks this came is known to be by now.
        """
        for _ in range(_STEPS_TO_NOTICE):
            await asyncio.sleep(0)
        place = tenant, conversation_id
        mine = [turn for turn in self._turns.values() if (turn.request.tenant, turn.request.conversation_id) == place]
        if ending := [turn.run for turn in mine if turn.is_ending]:
            await asyncio.wait(ending, timeout=_ENDING_SECONDS)

    async def interrupt(self) -> None:
        """End all of them, each as far as it has come, and wait until that is in the log."""
        for turn in list(self._turns.values()):
            turn.interrupt()
        if self._runs:
            await asyncio.wait(self._runs, timeout=_ENDING_SECONDS)
