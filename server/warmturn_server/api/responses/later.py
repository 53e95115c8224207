"""A response that is asked for later: while it is made in the background, for a while after that, and from the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.responses import Response

from ...chat import Begun, ChatService, Turn, TurnId
from ...chat.history import response_not_found
from ...errors import InvalidRequest, NotFound
from ..growing import Reading
from ..json import Json
from ..reply import later_extras
from ..sse import EventStream, replay
from .background import Background, EventLog
from .body import finished_response, unwritten_response
from .events import replayed_events

NOTHING_YET: Final = -1
"""In place of the number of the last event that a listener has."""


@dataclass(frozen=True, slots=True)
class Later:
    service: ChatService
    background: Background
    tenant: str
    turn_id: TurnId

    async def response(self, request: Request) -> Json:
        """Raises NotFound."""
        if (log := self._log) and not log.is_over:
            return log.response
        turn = await self._written()
        if log and turn is None:
            return log.response
        found = turn or await self._only_begun()
        if isinstance(found, Begun):
            return self._unwritten(found)
        return finished_response(found, await later_extras(request, found, self.service))

    async def events(self, request: Request, behind: int | None) -> Response:
        """Raises NotFound, and InvalidRequest where there is nothing `behind` that number."""
        if (log := self._log) and not log.is_over:
            return listening(log, NOTHING_YET if behind is None else behind)
        turn = await self._written()
        if log and (turn is None or log.tells(turn)):
            return replay(_behind(log.events.items, behind))
        found = turn or await self._only_begun()
        if isinstance(found, Begun):
            found.refuse_elsewhere()
            raise _not_to_be_had(self._unwritten(found)["error"]["message"], "stream")
        if behind is not None and found.reply and found.reply.echo.get("background"):
            raise _not_to_be_had(
                "The events that it came in are no longer kept: leave starting_after out to have "
                "it told from the beginning, its text in one piece."
            )
        return replay(_behind(replayed_events(found, await later_extras(request, found, self.service)), behind))

    @property
    def _log(self) -> EventLog | None:
        return self.background.get(self.tenant, self.turn_id)

    async def _written(self) -> Turn | None:
        """From the log of conversations; None where it never was there. Raises NotFound for what was deleted."""
        try:
            return await self.service.response(self.tenant, self.turn_id)
        except NotFound:
            log = self._log
            if log and log.is_written:
                self.background.forget(self.tenant, self.turn_id)
                raise
            return None

    async def _only_begun(self) -> Begun | Turn:
        """What is not in the log of conversations, unless it came there since one looked. Raises NotFound."""
        begun = await self.service.begun.find(self.tenant, self.turn_id)
        is_over = begun is None or not begun.runs_elsewhere
        if is_over and (turn := await self._written()):
            return turn
        if begun is None:
            raise response_not_found(self.turn_id)
        return begun

    def _unwritten(self, begun: Begun) -> Json:
        return unwritten_response(begun, self.service.engine.model_name)


def listening(log: EventLog, behind: int) -> Response:
    """Raises InvalidRequest for a number that no event has yet."""
    if not NOTHING_YET <= behind < max(len(log.events.items), 1):
        raise _not_to_be_had(f"So far its events are numbered from 0 to {len(log.events.items) - 1}.")
    reading = Reading(log.turn_id, log.events, behind + 1)
    return EventStream(reading, aiter(reading))


def _behind(events: Sequence[bytes], starting_after: int | None) -> Sequence[bytes]:
    """Numbers of the first stream, which had more events, may be beyond the last: nothing at all would be no answer."""
    if starting_after is None:
        return events
    if not 0 <= starting_after < len(events) - 1:
        raise _not_to_be_had(
            f"The events of a response that is over are numbered from 0 to {len(events) - 1}: "
            f"there is none behind {starting_after}. Leave starting_after out to have them all."
        )
    return events[starting_after + 1 :]


def _not_to_be_had(message: str, param: str = "starting_after") -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param=param)
