"""What the content of an item is made of, and how each kind of it is written in the log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of a prefix that will come again; `ttl_seconds`: it is to stay at least so long, None if as the request
    says."""

    ttl_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """`mark`: its end is marked, in the request that brings it and not in the log."""

    text: str
    mark: Mark | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model said to itself before it answered."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments` are JSON, as the model wrote them."""

    call_id: str
    name: str
    arguments: str

    @property
    def given(self) -> dict[str, Any] | None:
        """The arguments by name; None where a model wrote something else, or not all of it."""
        try:
            given = json.loads(self.arguments)
        except ValueError:
            return None
        return given if isinstance(given, dict) else None


@dataclass(frozen=True, slots=True)
class ToolResult:
    call_id: str
    output: str


Part = Text | Reasoning | ToolCall | ToolResult
PartDelta = Text | Reasoning | ToolCall
"""A piece of a part while a model writes it."""

_KINDS: Final[Mapping[str, type[Reasoning | ToolCall | ToolResult]]] = {
    "reasoning": Reasoning,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


def text_of(parts: Iterable[Part]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def joined(deltas: Iterable[PartDelta]) -> tuple[PartDelta, ...]:
    """The parts that `deltas` are of, each where the first of it stood: one text, one reasoning, every call once."""
    parts: dict[tuple[type, str], PartDelta] = {}
    for delta in deltas:
        key = type(delta), delta.call_id if isinstance(delta, ToolCall) else ""
        parts[key] = _continued(parts[key], delta) if key in parts else delta
    return tuple(parts.values())


def _continued(part: PartDelta, delta: PartDelta) -> PartDelta:
    if isinstance(part, ToolCall) and isinstance(delta, ToolCall):
        return replace(part, arguments=part.arguments + delta.arguments)
    assert not isinstance(part, ToolCall) and not isinstance(delta, ToolCall), "parts go on in their own kind"
    return replace(part, text=part.text + delta.text)


def part_content(part: Part) -> str | dict[str, str]:
    """Ready for JSON. A text is written as itself, as when there was nothing else."""
    return part.text if isinstance(part, Text) else {"type": _NAMES[type(part)], **asdict(part)}


def part_of(content: str | Mapping[str, Any]) -> Part:
    """From what `part_content` made of it, by way of JSON."""
    if isinstance(content, str):
        return Text(content)
    fields = dict(content)
    return _KINDS[fields.pop("type")](**fields)
