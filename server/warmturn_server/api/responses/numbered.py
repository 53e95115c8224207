"""Makes the events of one answer, each with the next number."""

from __future__ import annotations

from ...chat import Item, ItemId, ToolCall
from ..items import (
    call_item_id,
    call_object,
    message_object,
    output_part,
    reasoning_id,
    reasoning_object,
    reasoning_part,
)
from ..json import Json
from ..sse import named_event


class Numbered:
    """What is thought, what is said and each call are an item each, in the order in which they begin.

    What is thought ends before the next begins, a call before the next call; what is said ends last of all.
    """

    def __init__(self, item_id: ItemId) -> None:
        self._item = Item(item_id, "assistant", ())
        self._sequence_number = 0
        self._thought: list[str] = []
        self._indices: dict[str, int] = {}
        """Of the items that have begun."""
        self._thinks = False
        self._calls: list[ToolCall] = []
        """Each as far as it is told."""
        self._ended_calls = 0

    def beginning(self, response: Json) -> list[bytes]:
        return [self._event(name, response=response) for name in ("response.created", "response.in_progress")]

    def reasoning(self, text: str) -> list[bytes]:
        item_id = reasoning_id(self._item.id)
        begun = list[bytes]()
        if item_id not in self._indices:
            self._thinks = True
            begun = self._begun(item_id, reasoning_object(self._item, "in_progress"), reasoning_part(""))
        self._thought.append(text)
        return [*begun, self._event("response.reasoning_text.delta", **self._part_place(item_id), delta=text)]

    @property
    def has_text(self) -> bool:
        return self._item.id in self._indices

    def text(self, text: str, logprobs: list[Json]) -> list[bytes]:
        begun = self._message_begun()
        place = self._part_place(self._item.id)
        return [*begun, self._event("response.output_text.delta", **place, delta=text, logprobs=logprobs)]

    def call(self, piece: ToolCall) -> list[bytes]:
        """The first piece of a call begins it."""
        events = list[bytes]()
        if not self._calls or self._calls[-1].call_id != piece.call_id:
            events += [*self._thought_ended(), *self._calls_ended(), *self._call_begun(piece)]
        else:
            last = self._calls[-1]
            self._calls[-1] = ToolCall(last.call_id, last.name, last.arguments + piece.arguments)
        if piece.arguments:
            place = self._place(self._call_id)
            events.append(self._event("response.function_call_arguments.delta", **place, delta=piece.arguments))
        return events

    def ending(self, response: Json, logprobs: list[Json]) -> list[bytes]:
        if not response["output"]:  # only the prompt was computed
            return [self._event("response.completed", response=response)]
        messages = [item for item in response["output"] if item["type"] == "message"]
        begun = self._message_begun(response["output"][0]) if messages else self._thought_ended(response["output"][0])
        # A turn that was cancelled ends as incomplete: there is no event for it, but its status says so.
        final = "response.completed" if response["status"] == "completed" else "response.incomplete"
        said = [event for message in messages for event in self._message_ended(message, logprobs)]
        return [*begun, *self._calls_ended(), *said, self._event(final, response=response)]

    def failure(self, response: Json, error: Json) -> list[bytes]:
        """Both forms: some clients look for the error event, others for the response's end."""
        told = {"code": error["code"], "message": error["message"], "param": error["param"]}
        return [self._event("response.failed", response=response), self._event("error", **told)]

    def _message_begun(self, thought: Json | None = None) -> list[bytes]:
        """`thought`: how the item before it ended, where that is known."""
        if self.has_text:
            return []
        before = self._thought_ended(thought)
        return before + self._begun(self._item.id, message_object(self._item, "in_progress"), output_part(""))

    def _message_ended(self, item: Json, logprobs: list[Json]) -> list[bytes]:
        (part,) = item["content"]
        place = self._part_place(self._item.id)
        done = self._event("response.output_text.done", **place, text=part["text"], logprobs=logprobs)
        return [done, *self._ended(self._item.id, item, part)]

    def _thought_ended(self, thought: Json | None = None) -> list[bytes]:
        if not self._thinks:
            return []
        self._thinks = False
        item_id, text = reasoning_id(self._item.id), "".join(self._thought)
        part = reasoning_part(text)
        whole = thought or {**reasoning_object(self._item), "content": [part]}
        done = self._event("response.reasoning_text.done", **self._part_place(item_id), text=text)
        return [done, *self._ended(item_id, whole, part)]

    @property
    def _call_id(self) -> str:
        return call_item_id(self._item.id, len(self._calls) - 1)

    def _call_begun(self, call: ToolCall) -> list[bytes]:
        self._calls.append(call)
        index = self._indices[self._call_id] = len(self._indices)
        begun = call_object(self._item.id, ToolCall(call.call_id, call.name, ""), len(self._calls) - 1, "in_progress")
        return [self._event("response.output_item.added", output_index=index, item=begun)]

    def _calls_ended(self) -> list[bytes]:
        if self._ended_calls == len(self._calls):
            return []
        self._ended_calls = len(self._calls)
        call, place = self._calls[-1], self._place(self._call_id)
        whole = call_object(self._item.id, call, len(self._calls) - 1)
        told = {"arguments": call.arguments, "name": call.name}
        return [
            self._event("response.function_call_arguments.done", **place, **told),
            self._event("response.output_item.done", output_index=place["output_index"], item=whole),
        ]

    def _begun(self, item_id: str, item: Json, part: Json) -> list[bytes]:
        index = self._indices[item_id] = len(self._indices)
        return [
            self._event("response.output_item.added", output_index=index, item=item),
            self._event("response.content_part.added", **self._part_place(item_id), part=part),
        ]

    def _ended(self, item_id: str, item: Json, part: Json) -> list[bytes]:
        return [
            self._event("response.content_part.done", **self._part_place(item_id), part=part),
            self._event("response.output_item.done", output_index=self._indices[item_id], item=item),
        ]

    def _place(self, item_id: str) -> Json:
        return {"item_id": item_id, "output_index": self._indices[item_id]}

    def _part_place(self, item_id: str) -> Json:
        return {**self._place(item_id), "content_index": 0}

    def _event(self, name: str, /, **fields: object) -> bytes:
        number, self._sequence_number = self._sequence_number, self._sequence_number + 1
        return named_event(name, {"type": name, "sequence_number": number, **fields})
