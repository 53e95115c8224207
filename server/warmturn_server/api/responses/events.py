"""The Responses API's events, in the order in which clients insist on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from ...chat import Part, Reasoning, RunningTurn, Text, TextTokenizer, ToolCall, Turn
from ..errors import error_in_stream
from ..json import Json
from ..reply import logprob_objects
from .body import begun_response, failed_response, finished_response, running_response
from .numbered import Numbered


class ResponseEvents:
    """The events of one turn, while it runs."""

    def __init__(self, turn: RunningTurn, tokenizer: TextTokenizer, extras: Callable[[], Awaitable[Json]]) -> None:
        """`extras`: what the last event carries beside the report."""
        self._turn = turn
        self._tokenizer = tokenizer
        self._extras = extras
        self._events = Numbered(turn.item_id)
        self.ending: Json | None = None
        """The response object, once the turn is over."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self._events.beginning(running_response(self._turn)):
            yield event
        try:
            async for event in self._answer():
                yield event
        except Exception as error:
            shape = error_in_stream(self._turn.id, error)
            self.ending = failed_response(self._turn, shape)
            for event in self._events.failure(self.ending, shape):
                yield event

    async def _answer(self) -> AsyncIterator[bytes]:
        if self._turn.opening:
            for event in self._events.text(self._turn.opening, []):
                yield event
        logprobs, untold = list[Json](), list[Json]()
        async for delta in self._turn.deltas():
            new = logprob_objects(self._tokenizer, delta.said_logprobs)
            logprobs += new
            untold += new
            if delta.reasoning:
                for event in self._events.reasoning(delta.reasoning):
                    yield event
            if delta.text or (untold and self._events.has_text):
                for event in self._events.text(delta.text, untold):
                    yield event
                untold = []
            for event in (event for call in delta.calls for event in self._events.call(call)):
                yield event
        self.ending = finished_response(self._turn.result, await self._extras(), logprobs)
        for event in self._events.ending(self.ending, logprobs):
            yield event


def replayed_events(turn: Turn, extras: Json) -> list[bytes]:
    """Those of a turn that is over, numbered from 0. Its text is one delta: in which it once came nobody knows."""
    (item,) = turn.output
    events = Numbered(item.id)
    return [
        *events.beginning(begun_response(turn)),
        *(event for part in item.content for event in _replayed(events, part)),
        *events.ending(finished_response(turn, extras), []),
    ]


def _replayed(events: Numbered, part: Part) -> list[bytes]:
    if isinstance(part, Reasoning):
        return events.reasoning(part.text)
    return (
        events.call(part)
        if isinstance(part, ToolCall)
        else events.text(part.text, [])
        if isinstance(part, Text)
        else []
    )
