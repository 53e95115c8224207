"""A piece of a reply, as its readers get it."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine_api import TokenLogprobs
from .parts import PartDelta, Reasoning, Text, ToolCall


@dataclass(frozen=True, slots=True)
class ReplyDelta:
    """What a reply says next, and the tokens chosen for it; either may come without the other."""

    parts: tuple[PartDelta, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] = ()
    token_ids: tuple[int, ...] = ()
    thinks: bool = False
    """Whether its tokens are said to nobody."""
    in_call: bool = False
    """Whether they are part of a call."""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def said_logprobs(self) -> tuple[TokenLogprobs, ...]:
        """Of what is said alone."""
        return () if self.thinks or self.in_call else self.logprobs

    @property
    def reasoning(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Reasoning))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Pieces of calls; the first one of each begins it."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))
