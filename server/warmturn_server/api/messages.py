"""Messages as callers send them, in the forms of both APIs, and as this server shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import ConfigDict, WithJsonSchema, model_validator

from ..chat import Item, Role, Text, new_item_id
from .fields import Decided
from .fields.bodies import MESSAGE, PART
from .json import Json
from .wire import MAX_ITEMS, LongText, ShortText

_TEXT_PARTS: Final = frozenset({"input_text", "output_text", "text", "refusal"})
_ROLES: Final = ("system", "developer", "user", "assistant")
_SKIPPED_ITEMS: Final = frozenset({"reasoning"})
"""What other servers returned with their answers and clients send back; it says nothing to this model."""


class InputPart(Decided):
    model_config = ConfigDict(extra="allow")
    fields_of: ClassVar = PART

    type: Annotated[ShortText, WithJsonSchema({"enum": sorted(_TEXT_PARTS)})]
    text: LongText | None = None
    refusal: LongText | None = None

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


Content = LongText | Annotated[list[InputPart], MAX_ITEMS]


class InputMessage(Decided):
    """A message of either API: content as a string or in parts; unknown fields (id, status, name, ...) are skipped."""

    model_config = ConfigDict(extra="allow")
    fields_of: ClassVar = MESSAGE

    type: Annotated[ShortText | None, WithJsonSchema({"enum": ["message", *sorted(_SKIPPED_ITEMS), None]})] = None
    role: Annotated[ShortText | None, WithJsonSchema({"enum": [*_ROLES, None]})] = None
    content: Content | None = None
    refusal: LongText | None = None

    @model_validator(mode="after")
    def _is_a_message(self) -> Self:
        if self.is_skipped:
            return self
        if self.type not in (None, "message"):
            raise ValueError(f"items of type '{self.type}' are not supported: this server takes messages only")
        if self.role not in _ROLES:
            raise ValueError(f"role must be system, developer, user or assistant, not {self.role!r}")
        if self.content is None and self.role != "assistant":
            raise ValueError("a message needs its content")
        return self

    @property
    def is_skipped(self) -> bool:
        return self.type in _SKIPPED_ITEMS

    def as_item(self) -> Item:
        content = self.content if self.content is not None else self.refusal or ()
        said = [content] if isinstance(content, str) else [part.said for part in content]
        role: Role = self.role  # type: ignore[assignment]  # the validator has seen to it
        return Item(new_item_id(), role, tuple(Text(text) for text in said))


Messages = Annotated[list[InputMessage], MAX_ITEMS]


def as_items(given: str | Sequence[InputMessage]) -> tuple[Item, ...]:
    if isinstance(given, str):
        return (Item(new_item_id(), "user", (Text(given),)),)
    return tuple(message.as_item() for message in given if not message.is_skipped)


def item_object(item: Item, status: Literal["in_progress"] | None = None) -> Json:
    """A message item as every client of the Responses and Conversations APIs expects it."""
    part = output_part if item.role == "assistant" else _input_part
    return {
        "id": item.id,
        "type": "message",
        "role": item.role,
        "status": status or ("completed" if item.complete else "incomplete"),
        "content": [] if status else [part(said.text) for said in item.content if isinstance(said, Text)],
    }


def output_part(text: str, logprobs: Iterable[Json] = ()) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def _input_part(text: str) -> Json:
    return {"type": "input_text", "text": text}
