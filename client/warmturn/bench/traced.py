"""A conversation as a trace records it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TracedTurn:
    """Some traces have only lengths in tokens, others have the words themselves."""

    user_tokens: int = 0
    output_tokens: int = 0
    text: str = ""
    output_words: int = 0


@dataclass(frozen=True, slots=True)
class TracedConversation:
    turns: tuple[TracedTurn, ...]
    system: str = ""
