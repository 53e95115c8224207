"""What items look like to callers: messages, what was thought before them, calls of functions and their results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from ..chat import Item, ItemId, Reasoning, Text, ToolCall
from ..errors import NotFound
from .json import Json

_CALL: Final = "fc_"
_OUTPUT: Final = "fco_"
_REASONING: Final = "rs_"
_MESSAGE: Final = "msg_"


def item_objects(item: Item) -> list[Json]:
    """In a conversation. What was thought before a message is a part of that; before calls it is an item."""
    if item.results:
        return [_result_object(item)]
    if item.calls:
        return reply_objects(item)
    thought = [reasoning_part(item.reasoning)] if item.reasoning else []
    message = message_object(item)
    return [{**message, "content": [*thought, *message["content"]]}]


def reply_objects(item: Item, logprobs: Iterable[Json] = ()) -> list[Json]:
    """In a response: what was thought, what was said and each call are an item of their own, in their order."""
    objects = list[Json]()
    for part in item.content:
        if isinstance(part, Reasoning):
            objects.append(reasoning_object(item))
        elif isinstance(part, ToolCall):
            objects.append(call_object(item.id, part, number_of(item, part)))
        elif isinstance(part, Text):
            message = message_object(item)
            for said in message["content"]:
                said["logprobs"] = list(logprobs)
            objects.append(message)
    return objects


def shown_ids(items: Iterable[Item]) -> list[str]:
    return [shown["id"] for item in items for shown in item_objects(item)]


def find_shown(items: Sequence[Item], item_id: str) -> tuple[Item, Json]:
    """The one that is shown under this id, and what it is part of."""
    for item in items:
        for shown in item_objects(item):
            if shown["id"] == item_id:
                return item, shown
    raise NotFound(f"Item with id '{item_id}' not found.", code="item_not_found")


def owner_of(shown_id: str) -> ItemId:
    """The item that has what is shown under this id as a part."""
    prefix = next((prefix for prefix in (_CALL, _OUTPUT, _REASONING) if shown_id.startswith(prefix)), "")
    return ItemId(f"{_MESSAGE}{shown_id.removeprefix(prefix).partition('_')[0]}" if prefix else shown_id)


def message_object(item: Item, status: Literal["in_progress"] | None = None) -> Json:
    """What an item says, as every client of the Responses API expects it."""
    part = output_part if item.role == "assistant" else _input_part
    return {
        "id": item.id,
        "type": "message",
        "role": item.role,
        "status": status or _status(item),
        "content": [] if status else [part(said.text) for said in item.content if isinstance(said, Text)],
    }


def call_object(item_id: ItemId, call: ToolCall, number: int, status: Literal["in_progress"] | None = None) -> Json:
    """`number`: among the calls of its item. What is no JSON is incomplete."""
    return {
        "id": call_item_id(item_id, number),
        "type": "function_call",
        "status": status or ("completed" if call.given is not None else "incomplete"),
        "call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments,
    }


def call_item_id(item_id: ItemId, number: int) -> str:
    return f"{_CALL}{item_id.removeprefix(_MESSAGE)}{f'_{number}' if number else ''}"


def number_of(item: Item, call: ToolCall) -> int:
    return [own.call_id for own in item.calls].index(call.call_id)


def _result_object(item: Item) -> Json:
    (result,) = item.results
    return {
        "id": f"{_OUTPUT}{item.id.removeprefix(_MESSAGE)}",
        "type": "function_call_output",
        "status": "completed",
        "call_id": result.call_id,
        "output": result.output,
    }


def reasoning_object(item: Item, status: Literal["in_progress"] | None = None) -> Json:
    """What was thought before an item was said, as an item of its own. Whole, once something was said."""
    cut = not item.complete and not item.text
    return {
        "id": reasoning_id(item.id),
        "type": "reasoning",
        "summary": [],
        "status": status or ("incomplete" if cut else "completed"),
        "content": [] if status else [reasoning_part(item.reasoning)],
    }


def reasoning_id(item_id: ItemId) -> str:
    return f"{_REASONING}{item_id.removeprefix(_MESSAGE)}"


def reasoning_part(text: str) -> Json:
    return {"type": "reasoning_text", "text": text}


def _status(item: Item) -> str:
    return "completed" if item.complete else "incomplete"


def output_part(text: str, logprobs: Iterable[Json] = ()) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def _input_part(text: str) -> Json:
    return {"type": "input_text", "text": text}
