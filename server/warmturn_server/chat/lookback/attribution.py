"""Whose the tokens of a prompt are: the template's, the instructions', or an item's, turn by turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

from ...engine_api import LookbackRequest
from ..model import Item, as_messages
from .spans import Render, find_passages, owners

SourceKind = Literal["template", "instructions", "item", "reply", "sink"]

TEMPLATE: Final = 0
_SHOWN_CHARS: Final = 80


@dataclass(frozen=True, slots=True)
class Source:
    """Something that attention can go to. `turn` counts from 1, each ends with an answer; None for what stands outside.

    `tokens`: how many of the prompt's are certainly its own. `text`: how it begins.
    """

    kind: SourceKind
    item_id: str | None = None
    role: str | None = None
    turn: int | None = None
    tokens: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Outline:
    """`sources`, the template first, and for each prompt token which of them it belongs to.

    `turn` is the one of the reply.
    """

    sources: tuple[Source, ...]
    of_token: tuple[int, ...]
    turn: int

    @classmethod
    def of(
        cls, text: str, ends: Sequence[int], instructions: str | None, items: Sequence[Item], render: Render
    ) -> Self:
        """Of the prompt `text`, which `render` made of instructions and items, and whose tokens end at `ends`."""
        passages = find_passages(text, as_messages(instructions, items), render)
        return cls._of(instructions, items, owners(text, ends, passages))

    @classmethod
    def _of(cls, instructions: str | None, items: Sequence[Item], messages: Sequence[int | None]) -> Self:
        """`messages`: for each prompt token the number of its message, instructions first, or None."""
        of_token = tuple(TEMPLATE if message is None else message + 1 for message in messages)
        tokens = Counter(of_token)
        sources = [Source("template", tokens=tokens[TEMPLATE])]
        if instructions:
            sources.append(Source("instructions", role="system", tokens=tokens[1], text=_beginning(instructions)))
        turns = _turns(items)
        for item, turn in zip(items, turns, strict=False):
            number = len(sources)
            sources.append(Source("item", item.id, item.role, turn, tokens[number], _beginning(item.text)))
        return cls(tuple(sources), of_token, turns[-1] or 1)

    @property
    def earlier(self) -> frozenset[int]:
        """The sources of earlier turns."""
        return frozenset(n for n, source in enumerate(self.sources) if source.turn and source.turn < self.turn)

    def request(self, *, recomputes_reply: bool = False) -> LookbackRequest:
        return LookbackRequest(self.of_token, len(self.sources), self.earlier, recomputes_reply)


def _turns(items: Sequence[Item]) -> list[int | None]:
    """The turn of each item, and last that of the reply. Who instructs the model has no part in the turns."""
    turns, turn, answered = list[int | None](), 1, False
    for item in items:
        if answered and item.role not in ("assistant", "tool"):
            turn += 1
        answered = item.role in ("assistant", "tool")
        turns.append(None if item.role in ("system", "developer") else turn)
    return [*turns, turn + answered]


def _beginning(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
