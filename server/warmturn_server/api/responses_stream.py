"""The Responses API's events, in the order in which clients insist on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from ..chat import Item, RunningTurn, TextTokenizer
from .errors import error_in_stream
from .json import Json
from .logprobs import logprob_objects
from .messages import item_object, output_part
from .responses_wire import failed_response, finished_response, running_response
from .sse import named_event


class ResponseEvents:
    """Numbers the events of one turn."""

    def __init__(self, turn: RunningTurn, tokenizer: TextTokenizer, extras: Callable[[], Awaitable[Json]]) -> None:
        """`extras`: what the last event carries beside the report."""
        self._turn = turn
        self._tokenizer = tokenizer
        self._extras = extras
        self._sequence_number = 0
        self._place = {"item_id": turn.item_id, "output_index": 0, "content_index": 0}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._event("response.created", response=running_response(self._turn))
        yield self._event("response.in_progress", response=running_response(self._turn))
        try:
            async for event in self._answer():
                yield event
        except Exception as error:
            for event in self._failure(error):
                yield event

    async def _answer(self) -> AsyncIterator[bytes]:
        yield self._event("response.output_item.added", output_index=0, item=self._begun_item())
        yield self._event("response.content_part.added", **self._place, part=output_part(""))
        logprobs = list[Json]()
        async for delta in self._turn.deltas():
            new = logprob_objects(self._tokenizer, delta.logprobs)
            logprobs += new
            if delta.text or new:
                yield self._event("response.output_text.delta", **self._place, delta=delta.text, logprobs=new)
        for event in self._ending(logprobs, await self._extras()):
            yield event

    def _ending(self, logprobs: list[Json], extras: Json) -> list[bytes]:
        response = finished_response(self._turn.result, extras, logprobs)
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

    def _failure(self, error: Exception) -> list[bytes]:
        """Both forms: some clients look for the error event, others for the response's end."""
        shape = error_in_stream(self._turn.id, error)
        told = {"code": shape["code"], "message": shape["message"], "param": shape["param"]}
        return [
            self._event("response.failed", response=failed_response(self._turn, shape)),
            self._event("error", **told),
        ]

    def _begun_item(self) -> Json:
        return item_object(Item(self._turn.item_id, "assistant", ()), "in_progress")

    def _event(self, name: str, **fields: object) -> bytes:
        number, self._sequence_number = self._sequence_number, self._sequence_number + 1
        return named_event(name, {"type": name, "sequence_number": number, **fields})
