"""Makes the events of one answer, each with the next number."""

from __future__ import annotations

from ...chat import Item, ItemId
from ..json import Json
from ..messages import message_object, output_part, reasoning_id, reasoning_object, reasoning_part
from ..sse import named_event


class Numbered:
    """What is thought and what is said are an item each, in the order in which they begin; the first ends before."""

    def __init__(self, item_id: ItemId) -> None:
        self._item = Item(item_id, "assistant", ())
        self._sequence_number = 0
        self._thought: list[str] = []
        self._indices: dict[str, int] = {}
        """Of the items that have begun."""
        self._thinks = False

    def beginning(self, response: Json) -> list[bytes]:
        return [self._event(name, response=response) for name in ("response.created", "response.in_progress")]

    def reasoning(self, text: str) -> list[bytes]:
        item_id = reasoning_id(self._item.id)
        begun = list[bytes]()
        if item_id not in self._indices:
            self._thinks = True
            begun = self._begun(item_id, reasoning_object(self._item, "in_progress"), reasoning_part(""))
        self._thought.append(text)
        return [*begun, self._event("response.reasoning_text.delta", **self._place(item_id), delta=text)]

    def text(self, text: str, logprobs: list[Json]) -> list[bytes]:
        begun = self._message_begun()
        place = self._place(self._item.id)
        return [*begun, self._event("response.output_text.delta", **place, delta=text, logprobs=logprobs)]

    def ending(self, response: Json, logprobs: list[Json]) -> list[bytes]:
        if not response["output"]:  # only the prompt was computed
            return [self._event("response.completed", response=response)]
        begun = self._message_begun(response["output"][0])
        (item,) = (item for item in response["output"] if item["type"] == "message")
        (part,) = item["content"]
        place = self._place(self._item.id)
        # A turn that was cancelled ends as incomplete: there is no event for it, but its status says so.
        final = "response.completed" if response["status"] == "completed" else "response.incomplete"
        return [
            *begun,
            self._event("response.output_text.done", **place, text=part["text"], logprobs=logprobs),
            *self._ended(self._item.id, item, part),
            self._event(final, response=response),
        ]

    def failure(self, response: Json, error: Json) -> list[bytes]:
        """Both forms: some clients look for the error event, others for the response's end."""
        told = {"code": error["code"], "message": error["message"], "param": error["param"]}
        return [self._event("response.failed", response=response), self._event("error", **told)]

    def _message_begun(self, thought: Json | None = None) -> list[bytes]:
        """`thought`: how the item before it ended, where that is known."""
        if self._item.id in self._indices:
            return []
        before = self._reasoning_ended(thought) if self._thinks else []
        self._thinks = False
        return before + self._begun(self._item.id, message_object(self._item, "in_progress"), output_part(""))

    def _reasoning_ended(self, thought: Json | None) -> list[bytes]:
        item_id, text = reasoning_id(self._item.id), "".join(self._thought)
        part = reasoning_part(text)
        whole = thought or {**reasoning_object(self._item), "content": [part]}
        done = self._event("response.reasoning_text.done", **self._place(item_id), text=text)
        return [done, *self._ended(item_id, whole, part)]

    def _begun(self, item_id: str, item: Json, part: Json) -> list[bytes]:
        index = self._indices[item_id] = len(self._indices)
        return [
            self._event("response.output_item.added", output_index=index, item=item),
            self._event("response.content_part.added", **self._place(item_id), part=part),
        ]

    def _ended(self, item_id: str, item: Json, part: Json) -> list[bytes]:
        return [
            self._event("response.content_part.done", **self._place(item_id), part=part),
            self._event("response.output_item.done", output_index=self._indices[item_id], item=item),
        ]

    def _place(self, item_id: str) -> Json:
        return {"item_id": item_id, "output_index": self._indices[item_id], "content_index": 0}

    def _event(self, name: str, **fields: object) -> bytes:
        number, self._sequence_number = self._sequence_number, self._sequence_number + 1
        return named_event(name, {"type": name, "sequence_number": number, **fields})
