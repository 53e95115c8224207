"""Calls and their results, put as a template takes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..model import ChatMessage

SAMPLE_FUNCTION: Final = "Function0"
SAMPLE_ARGUMENTS: Final = {"argument0": "Value0", "argument1": 7}
SAMPLE_TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": SAMPLE_FUNCTION,
        "description": "Description0",
        "parameters": {
            "type": "object",
            "properties": {
                "argument0": {"type": "string", "description": "Description1"},
                "argument1": {"type": "integer", "description": "Description2"},
            },
            "required": ["argument0"],
        },
    },
}
Spell = Callable[[Sequence[Mapping[str, Any]]], str]
"""How a model writes such calls."""
_SHORT_ID: Final = 9
"""Letters and digits, as Mistral's templates insist on."""


def sample_calls(count: int = 1) -> ChatMessage:
    function = {"name": SAMPLE_FUNCTION, "arguments": dict(SAMPLE_ARGUMENTS)}
    calls: list[dict[str, object]] = [
        {"id": f"call_0123456789abcdef{number}", "type": "function", "function": dict(function)}
        for number in range(count)
    ]
    return ChatMessage(role="assistant", content="", tool_calls=calls)


def sample_results(count: int = 1) -> list[ChatMessage]:
    return [
        ChatMessage(role="tool", content="Result0", tool_call_id=f"call_0123456789abcdef{number}", name=SAMPLE_FUNCTION)
        for number in range(count)
    ]


@dataclass(frozen=True, slots=True)
class CallStyle:
    """`as_text`: arguments are the text of their JSON. `one_at_a_time`: a message has one call, and its result comes
    next. `short_ids`: of nine letters and digits. `spelled`: the template writes no calls: they are said, as the model
    does."""

    as_text: bool = False
    one_at_a_time: bool = False
    short_ids: bool = False
    spelled: Spell | None = None

    def put(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        if not any("tool_calls" in message or "tool_call_id" in message for message in messages):
            return list(messages)
        parted = _parted(messages) if self.one_at_a_time else messages
        return [self._put(message) for message in parted]

    def _put(self, message: ChatMessage) -> ChatMessage:
        put = message.copy()
        if "tool_call_id" in message:
            put["tool_call_id"] = self._id(message["tool_call_id"])
        calls = [self._call(call) for call in message.get("tool_calls", ())]
        if calls and self.spelled is None:
            put["tool_calls"] = calls
        elif calls and self.spelled is not None:
            del put["tool_calls"]
            put["content"] += self.spelled(calls)
        return put

    def _call(self, call: dict[str, Any]) -> dict[str, object]:
        function = dict(call["function"])
        if self.as_text:
            function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)
        return {**call, "id": self._id(str(call["id"])), "function": function}

    def _id(self, call_id: str) -> str:
        if not self.short_ids or (len(call_id) == _SHORT_ID and call_id.isalnum() and call_id.isascii()):
            return call_id
        return hashlib.sha256(call_id.encode()).hexdigest()[:_SHORT_ID]


def _parted(messages: Sequence[ChatMessage]) -> Iterator[ChatMessage]:
    """Each call in a message of its own, with its result behind it."""
    results = {message["tool_call_id"]: message for message in messages if "tool_call_id" in message}
    moved = set[str]()
    for message in messages:
        calls = message.get("tool_calls", [])
        if len(calls) < 2:
            if message.get("tool_call_id") not in moved:
                yield message
            continue
        for number, call in enumerate(calls):
            yield _with_one_call(message, call, is_first=number == 0)
            if result := results.get(str(call["id"])):
                moved.add(str(call["id"]))
                yield result


def _with_one_call(message: ChatMessage, call: dict[str, object], *, is_first: bool) -> ChatMessage:
    if is_first:
        return ChatMessage(**{**message, "tool_calls": [call]})
    return ChatMessage(role="assistant", content="", tool_calls=[call])


def marked(messages: Sequence[ChatMessage], mark: str) -> list[ChatMessage]:
    """With `mark` before the name of each function that is called."""
    return [_marked(message, mark) if "tool_calls" in message else message for message in messages]


def _marked(message: ChatMessage, mark: str) -> ChatMessage:
    calls: list[dict[str, Any]] = [dict(call) for call in message["tool_calls"]]
    for call in calls:
        call["function"] = {**call["function"], "name": mark + call["function"]["name"]}
    return ChatMessage(**{**message, "tool_calls": calls})
