"""A piece of a reply, as its readers get it."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine_api import TokenLogprobs
from .parts import PartDelta, Reasoning, Text


@dataclass(frozen=True, slots=True)
class ReplyDelta:
    """What a reply says next, and the tokens chosen for it; either may come without the other."""

    parts: tuple[PartDelta, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] = ()
    token_ids: tuple[int, ...] = ()
    thinks: bool = False
    """Whether its tokens are said to nobody."""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def said_logprobs(self) -> tuple[TokenLogprobs, ...]:
        """Of what is said alone."""
        return () if self.thinks else self.logprobs

    @property
    def reasoning(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Reasoning))
