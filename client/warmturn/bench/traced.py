"""A conversation as a trace records it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockPart:
    """Tokens `first` to `last` (without it) of a block of text; blocks of the same name hold the same."""

    block: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TracedTurn:
    """Some traces have the words themselves, others only say how long they were and which of them were alike."""

    parts: tuple[BlockPart, ...] = ()
    output_tokens: int = 0
    text: str = ""
    output_words: int = 0

    @property
    def user_tokens(self) -> int:
        """As far as the trace says it."""
        return sum(part.last - part.first for part in self.parts)


@dataclass(frozen=True, slots=True)
class TracedConversation:
    turns: tuple[TracedTurn, ...]
    system: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """`replayed` says for people what of the file is played again as it was recorded, and what is not."""

    conversations: list[TracedConversation]
    replayed: str
