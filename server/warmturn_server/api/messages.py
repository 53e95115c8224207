"""Messages as callers send them, in the forms of both APIs, and as this server shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import ConfigDict, WithJsonSchema, model_validator

from ..chat import Item, ItemId, Part, Reasoning, Role, Text, new_item_id
from .cache_marks import CacheControl, CacheMark, mark_of
from .field_types import MAX_ITEMS, LongText, ShortText
from .fields import Decided
from .fields.bodies import MESSAGE, PART
from .json import Json

_REASONING: Final = "reasoning_text"
_TEXT_PARTS: Final = frozenset({"input_text", "output_text", "text", "refusal", _REASONING})
_ROLES: Final = ("system", "developer", "user", "assistant")
_REASONING_ITEM: Final = "reasoning"
"""What was thought before the message that comes next. What other servers sealed says nothing here."""


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


Content = LongText | Annotated[list[InputPart], MAX_ITEMS]


class InputMessage(Decided):
    """A message of either API: content as a string or in parts; unknown fields (id, status, name, ...) are skipped.

    `reasoning_content`, or `reasoning`: what an earlier reply thought, as chat completions give it.
    """

    model_config = ConfigDict(extra="allow")
    fields_of: ClassVar = MESSAGE

    type: Annotated[ShortText | None, WithJsonSchema({"enum": ["message", _REASONING_ITEM, None]})] = None
    role: Annotated[ShortText | None, WithJsonSchema({"enum": [*_ROLES, None]})] = None
    content: Content | None = None
    refusal: LongText | None = None
    reasoning_content: LongText | None = None
    reasoning: LongText | None = None
    cache_control: CacheControl | None = None

    @model_validator(mode="after")
    def _is_a_message(self) -> Self:
        if self.is_reasoning:
            return self
        if self.type not in (None, "message"):
            raise ValueError(f"items of type '{self.type}' are not supported: this server takes messages only")
        if self.role not in _ROLES:
            raise ValueError(f"role must be system, developer, user or assistant, not {self.role!r}")
        if self.content is None and self.role != "assistant":
            raise ValueError("a message needs its content")
        return self

    @property
    def is_reasoning(self) -> bool:
        return self.type == _REASONING_ITEM

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
        return Item(new_item_id(), role, (*thought, *self.thought, *self.parts))


Messages = Annotated[list[InputMessage], MAX_ITEMS]


def as_items(given: str | Sequence[InputMessage]) -> tuple[Item, ...]:
    if isinstance(given, str):
        return (Item(new_item_id(), "user", (Text(given),)),)
    items, thought = list[Item](), tuple[Part, ...]()
    for message in given:
        if message.is_reasoning:
            thought += tuple(Reasoning(part.text) for part in message.parts if isinstance(part, Text | Reasoning))
            continue
        items.append(message.as_item(thought if message.role == "assistant" else ()))
        thought = ()
    return tuple(items)


def item_object(item: Item) -> Json:
    """A message of a conversation, with what was thought before it was said."""
    thought = [reasoning_part(item.reasoning)] if item.reasoning else []
    message = message_object(item)
    return {**message, "content": [*thought, *message["content"]]}


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
    return f"rs_{item_id.removeprefix('msg_')}"


def reasoning_part(text: str) -> Json:
    return {"type": "reasoning_text", "text": text}


def _status(item: Item) -> str:
    return "completed" if item.complete else "incomplete"


def output_part(text: str, logprobs: Iterable[Json] = ()) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def _input_part(text: str) -> Json:
    return {"type": "input_text", "text": text}
