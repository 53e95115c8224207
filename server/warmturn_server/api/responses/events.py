"""The Responses API's events, in the order in which clients insist on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from ...chat import Item, ItemId, RunningTurn, TextTokenizer, Turn
from ..errors import error_in_stream
from ..json import Json
from ..messages import item_object, output_part
from ..reply import logprob_objects
from ..sse import named_event
from .body import begun_response, failed_response, finished_response, running_response


class ResponseEvents:
    """The events of one turn, while it runs."""

    def __init__(self, turn: RunningTurn, tokenizer: TextTokenizer, extras: Callable[[], Awaitable[Json]]) -> None:
        """`extras`: what the last event carries beside the report."""
        self._turn = turn
        self._tokenizer = tokenizer
        self._extras = extras
        self._events = _Numbered(turn.item_id)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self._events.beginning(running_response(self._turn)):
            yield event
        try:
            async for event in self._answer():
                yield event
        except Exception as error:
            shape = error_in_stream(self._turn.id, error)
            for event in self._events.failure(failed_response(self._turn, shape), shape):
                yield event

    async def _answer(self) -> AsyncIterator[bytes]:
        for event in self._events.opening():
            yield event
        if self._turn.opening:
            yield self._events.delta(self._turn.opening, [])
        logprobs = list[Json]()
        async for delta in self._turn.deltas():
            new = logprob_objects(self._tokenizer, delta.logprobs)
            logprobs += new
            if delta.text or new:
                yield self._events.delta(delta.text, new)
        response = finished_response(self._turn.result, await self._extras(), logprobs)
        for event in self._events.ending(response, logprobs):
            yield event


def replayed_events(turn: Turn, extras: Json) -> list[bytes]:
    """Those of a turn that is over, numbered from 0. Its text is one delta: in which it once came nobody knows."""
    (item,) = turn.output
    events = _Numbered(item.id)
    return [
        *events.beginning(begun_response(turn)),
        *events.opening(),
        events.delta(item.text, []),
        *events.ending(finished_response(turn, extras), []),
    ]


class _Numbered:
    """Makes the events of one answer; each has the next number."""

    def __init__(self, item_id: ItemId) -> None:
        self._item_id = item_id
        self._place = {"item_id": item_id, "output_index": 0, "content_index": 0}
        self._sequence_number = 0

    def beginning(self, response: Json) -> list[bytes]:
        return [self._event(name, response=response) for name in ("response.created", "response.in_progress")]

    def opening(self) -> list[bytes]:
        item = item_object(Item(self._item_id, "assistant", ()), "in_progress")
        return [
            self._event("response.output_item.added", output_index=0, item=item),
            self._event("response.content_part.added", **self._place, part=output_part("")),
        ]

    def delta(self, text: str, logprobs: list[Json]) -> bytes:
        return self._event("response.output_text.delta", **self._place, delta=text, logprobs=logprobs)

    def ending(self, response: Json, logprobs: list[Json]) -> list[bytes]:
        (item,) = response["output"]
        (part,) = item["content"]
        # A turn that was cancelled ends as incomplete: there is no event for it, but its status says so.
        final = "response.completed" if response["status"] == "completed" else "response.incomplete"
        return [
            self._event("response.output_text.done", **self._place, text=part["text"], logprobs=logprobs),
            self._event("response.content_part.done", **self._place, part=part),
            self._event("response.output_item.done", output_index=0, item=item),
            self._event(final, response=response),
        ]

    def failure(self, response: Json, error: Json) -> list[bytes]:
        """Both forms: some clients look for the error event, others for the response's end."""
        told = {"code": error["code"], "message": error["message"], "param": error["param"]}
        return [self._event("response.failed", response=response), self._event("error", **told)]

    def _event(self, name: str, **fields: object) -> bytes:
        number, self._sequence_number = self._sequence_number, self._sequence_number + 1
        return named_event(name, {"type": name, "sequence_number": number, **fields})
