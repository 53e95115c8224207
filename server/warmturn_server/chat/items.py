"""What a conversation is made of, as people see it: messages with a role and text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .ids import ItemId

Role = Literal["system", "developer", "user", "assistant"]
ChatMessage = dict[str, str]
"""What chat templates take: `{"role": ..., "content": ...}`."""


@dataclass(frozen=True, slots=True)
class Item:
    id: ItemId
    role: Role
    parts: tuple[str, ...]
    complete: bool = True

    @property
    def text(self) -> str:
        return "\n".join(self.parts)

    def as_message(self) -> ChatMessage:
        """Templates know no `developer`; it is the newer name of `system`."""
        return {"role": "system" if self.role == "developer" else self.role, "content": self.text}


def items_from(contents: Iterable[Mapping[str, Any]]) -> tuple[Item, ...]:
    """From what `dataclasses.asdict` made of them, by way of JSON."""
    return tuple(Item(ItemId(item["id"]), item["role"], tuple(item["parts"]), item["complete"]) for item in contents)


def as_messages(instructions: str | None, items: Iterable[Item]) -> list[ChatMessage]:
    leading = [{"role": "system", "content": instructions}] if instructions else []
    return leading + [item.as_message() for item in items]
