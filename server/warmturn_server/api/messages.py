"""What callers send: messages in the forms of both APIs, calls of functions and their results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Final, Self

from pydantic import ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from ..chat import Item, Part, Reasoning, Role, Text, ToolCall, ToolResult, new_item_id
from .cache_marks import CacheControl, CacheMark, mark_of
from .field_types import MAX_ITEMS, LongText, ShortText
from .fields import Decided, FieldRefused
from .fields.bodies import CALLED, MESSAGE, PART, TOOL_CALL

_REASONING: Final = "reasoning_text"
_TEXT_PARTS: Final = frozenset({"input_text", "output_text", "text", "refusal", _REASONING})
_ROLES: Final = ("system", "developer", "user", "assistant", "tool")
_REASONING_ITEM: Final = "reasoning"
"""What was thought before the message that comes next. What other servers sealed says nothing here."""
_CALL: Final = "function_call"
_RESULT: Final = "function_call_output"
_REFERENCE: Final = "item_reference"
_NEEDS: Final[Mapping[str | None, tuple[str, ...]]] = {
    _CALL: ("call_id", "name", "arguments"),
    _RESULT: ("call_id", "output"),
    _REFERENCE: ("id",),
}
"""What items of a kind cannot do without."""


class InputPart(Decided):
    model_config = ConfigDict(extra="allow")
    fields_of: ClassVar = PART

    type: Annotated[ShortText, WithJsonSchema({"enum": sorted(_TEXT_PARTS)})]
    text: LongText | None = None
    refusal: LongText | None = None
    prompt_cache_breakpoint: CacheMark | None = None
    cache_control: CacheControl | None = None

    @model_validator(mode="after")
    def _is_text(self) -> Self:
        if self.type not in _TEXT_PARTS:
            raise ValueError(f"parts of type '{self.type}' are not supported: this server takes text only")
        if self.text is None and self.refusal is None:
            raise ValueError("a part needs its text")
        return self

    @property
    def said(self) -> str:
        return self.text if self.text is not None else self.refusal or ""

    @property
    def part(self) -> Part:
        if self.type == _REASONING:
            return Reasoning(self.said)
        return Text(self.said, mark_of(self.prompt_cache_breakpoint, self.cache_control))


CallId = Annotated[str, StringConstraints(pattern="^[\\x21-\\x7e]{1,128}$")]
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
CallName = Annotated[str, StringConstraints(pattern=f"^{_NAME.pattern}$")]
Content = LongText | Annotated[list[InputPart], MAX_ITEMS]


class CalledFunction(Decided):
    model_config = ConfigDict(extra="allow")
    fields_of: ClassVar = CALLED

    name: CallName
    arguments: LongText


class CompletionCall(Decided):
    """A call that an earlier reply made, as chat completions give it."""

    model_config = ConfigDict(extra="allow")
    fields_of: ClassVar = TOOL_CALL

    id: CallId
    type: Annotated[ShortText | None, WithJsonSchema({"enum": ["function", None]})] = None
    function: CalledFunction

    @property
    def call(self) -> ToolCall:
        return ToolCall(self.id, self.function.name, self.function.arguments or "{}")


class InputMessage(Decided):
    """A message of either API, content as a string or in parts, or another item of a response; unknown fields (status,
    ...) are skipped.

    `reasoning_content`, or `reasoning`: what an earlier reply thought, as chat completions give it.
    """

    model_config = ConfigDict(extra="allow")
    fields_of: ClassVar = MESSAGE

    type: Annotated[ShortText | None, WithJsonSchema({"enum": ["message", _REASONING_ITEM, *_NEEDS, None]})] = None
    role: Annotated[ShortText | None, WithJsonSchema({"enum": [*_ROLES, None]})] = None
    content: Content | None = None
    refusal: LongText | None = None
    reasoning_content: LongText | None = None
    reasoning: LongText | None = None
    cache_control: CacheControl | None = None
    id: ShortText | None = None
    name: ShortText | None = None
    tool_calls: Annotated[list[CompletionCall], Field(max_length=128)] | None = None
    tool_call_id: CallId | None = None
    call_id: CallId | None = None
    arguments: LongText | None = None
    output: Content | None = None

    @model_validator(mode="after")
    def _is_a_message(self) -> Self:
        if self.is_reasoning:
            return self
        if self.type in _NEEDS or (self.type is None and self.is_bare_reference):
            return self._has_what_it_needs()
        if self.type not in (None, "message"):
            known = ", ".join(("message", _REASONING_ITEM, _CALL, _RESULT, _REFERENCE))
            raise ValueError(f"items of type '{self.type[:64]}' are not supported; there are {known}")
        if self.role not in _ROLES:
            raise ValueError(f"role must be system, developer, user, assistant or tool, not {self.role!r}")
        if self.content is None and self.role != "assistant":
            raise ValueError("a message needs its content")
        if self.role == "tool" and not self.tool_call_id:
            raise FieldRefused("tool_call_id", "a result names the call that it is of", "invalid_value")
        if self.tool_calls and self.role != "assistant":
            raise FieldRefused("tool_calls", "the assistant calls, and nobody else", "invalid_value")
        return self

    def _has_what_it_needs(self) -> Self:
        for name in _NEEDS[self.type or _REFERENCE]:
            if getattr(self, name) is None or (name != "arguments" and name != "output" and not getattr(self, name)):
                raise FieldRefused(name, f"is what an item of type '{self.type or _REFERENCE}' needs", "invalid_value")
        if self.type == _CALL and not _NAME.fullmatch(self.name or ""):
            raise FieldRefused("name", "is no name of a function: letters, digits, - and _", "invalid_value")
        return self

    @property
    def is_bare_reference(self) -> bool:
        return self.role is None and self.content is None and self.id is not None

    @property
    def is_reasoning(self) -> bool:
        return self.type == _REASONING_ITEM

    @property
    def reference(self) -> str | None:
        """The id of the item that it stands for."""
        return self.id if self.type == _REFERENCE or (self.type is None and self.is_bare_reference) else None

    @property
    def calls(self) -> tuple[Part, ...]:
        if self.type == _CALL:
            return (ToolCall(self.call_id or "", self.name or "", self.arguments or "{}"),)
        return tuple(call.call for call in self.tool_calls or ())

    @property
    def result(self) -> ToolResult | None:
        if self.type == _RESULT:
            return ToolResult(self.call_id or "", _text(self.output))
        return ToolResult(self.tool_call_id or "", _text(self.content)) if self.role == "tool" else None

    @property
    def thought(self) -> tuple[Part, ...]:
        thought = self.reasoning_content or self.reasoning
        return (Reasoning(thought),) if thought else ()

    @property
    def parts(self) -> tuple[Part, ...]:
        content = self.content if self.content is not None else self.refusal or ()
        parts = [Text(content)] if isinstance(content, str) else [part.part for part in content]
        if self.cache_control and parts and isinstance(parts[-1], Text):
            parts[-1] = replace(parts[-1], mark=mark_of(self.cache_control))
        return tuple(parts)

    def as_item(self, thought: tuple[Part, ...] = ()) -> Item:
        role: Role = self.role  # type: ignore[assignment]  # the validator has seen to it
        said = tuple(part for part in self.parts if not self.calls or part != Text(""))
        return Item(new_item_id(), role, (*thought, *self.thought, *said, *self.calls))


Messages = Annotated[list[InputMessage], MAX_ITEMS]


def references_in(given: str | Sequence[InputMessage]) -> list[str]:
    """Ids of items that are not there themselves."""
    return [] if isinstance(given, str) else [message.reference for message in given if message.reference]


def as_items(
    given: str | Sequence[InputMessage], referred: Mapping[str, tuple[Part, ...]] | None = None
) -> tuple[Item, ...]:
    """`referred`: parts of the items that are referred to, by the ids under which they were shown."""
    if isinstance(given, str):
        return (Item(new_item_id(), "user", (Text(given),)),)
    gathered = _Gathered()
    for message in given:
        if message.reference:
            gathered.refer((referred or {})[message.reference])
        elif message.is_reasoning:
            gathered.think(Reasoning(part.text) for part in message.parts if isinstance(part, Text | Reasoning))
        elif result := message.result:
            gathered.add(Item(new_item_id(), "tool", (result,)))
        elif message.type == _CALL:
            gathered.call(message.calls)
        else:
            gathered.add(message.as_item(gathered.thought() if message.role == "assistant" else ()))
    return tuple(gathered.items)


class _Gathered:
    """Items of one reply belong together: what was thought, what was said, what was called."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._thought: tuple[Part, ...] = ()

    def think(self, thoughts: Iterable[Part]) -> None:
        self._thought += tuple(thoughts)

    def thought(self) -> tuple[Part, ...]:
        thought, self._thought = self._thought, ()
        return thought

    def add(self, item: Item) -> None:
        self.items.append(item)
        self._thought = ()

    def call(self, calls: tuple[Part, ...]) -> None:
        content = (*self.thought(), *calls)
        if self.items and self.items[-1].role == "assistant":
            last = self.items.pop()
            self.items.append(replace(last, content=(*last.content, *content)))
        else:
            self.items.append(Item(new_item_id(), "assistant", content))

    def refer(self, parts: tuple[Part, ...]) -> None:
        kinds = {type(part) for part in parts}
        if kinds == {Reasoning}:
            self.think(parts)
        elif kinds == {ToolCall}:
            self.call(parts)
        elif kinds == {ToolResult}:
            self.add(Item(new_item_id(), "tool", parts))
        else:
            self.add(Item(new_item_id(), "assistant", (*self.thought(), *parts)))


def _text(content: str | list[InputPart] | None) -> str:
    return content if isinstance(content, str) else "\n".join(part.said for part in content or ())
