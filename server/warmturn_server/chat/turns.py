"""Conversations as a tree of turns, like commits: turns never change, conversations and forks point at one each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .ids import ConversationId, ItemId, TurnId
from .items import Item

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Reply:
    """How an answer came about; with the items of its turn, all that `GET /v1/responses/{id}` shows."""

    model: str
    finish_reason: FinishReason
    completed_at: int
    output_tokens: int
    report: Mapping[str, object]
    """The engine's account of the turn: the extension object `warmturn`."""
    instructions: str | None = None
    echo: Mapping[str, object] = field(default_factory=dict)
    """Request fields that the response object repeats."""


@dataclass(frozen=True, slots=True)
class Turn:
    """`input` and what came of it. Without a `reply`, items were added by hand and nothing was generated."""

    id: TurnId
    parent_id: TurnId | None
    conversation_id: ConversationId | None
    created_at: int
    input: tuple[Item, ...]
    output: tuple[Item, ...] = ()
    reply: Reply | None = None
    stored: bool = False
    """Whether the response may be asked for by its id."""
    tenant: str = ""

    @property
    def items(self) -> tuple[Item, ...]:
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Conversation:
    id: ConversationId
    created_at: int
    updated_at: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    head: TurnId | None = None
    version: int = 0
    """Grows with each change of what the conversation says; a turn is appended to the version it was made from only."""
    hidden: frozenset[ItemId] = frozenset()
    """Deleted items. The turns that hold them may belong to other conversations too, so they stay as they are."""
    tenant: str = ""


def visible_items(turns: Iterable[Turn], hidden: Collection[ItemId]) -> list[Item]:
    return [item for turn in turns for item in turn.items if item.id not in hidden]


def visible_turns(turns: Iterable[Turn], hidden: Collection[ItemId]) -> list[Turn]:
    """Without the trailing turns of which nothing is left: after an undo the next turn is a sibling, not a child."""
    kept = list(turns)
    while kept and all(item.id in hidden for item in kept[-1].items):
        kept.pop()
    return kept
