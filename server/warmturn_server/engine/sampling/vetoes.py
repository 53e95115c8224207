"""What a token must not do, known only when it is at hand: say forbidden words, however they are spelled."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Protocol

from tokenizers import Tokenizer

MOST_REFUSALS = 32
"""For one place in a reply: each costs another choice, and everybody else waits for it."""


class Veto(Protocol):
    """One sequence's own, told of every token that it gets."""

    def refuses(self, token_id: int) -> bool: ...

    def advance(self, token_id: int) -> None: ...


class BadWords:
    """Refuses the token that would complete one of the words, whichever tokens the word is made of."""

    def __init__(self, words: Collection[str], tokenizer: Tokenizer) -> None:
        self._words = words
        self._tokenizer = tokenizer
        self._tail: deque[int] = deque(maxlen=max(len(word.encode()) for word in words) + 8)
        """As many tokens as a word can be made of, and some before: the first of a text may be decoded differently."""

    def refuses(self, token_id: int) -> bool:
        text = self._tokenizer.decode([*self._tail, token_id], skip_special_tokens=True)
        return any(word in text for word in self._words)

    def advance(self, token_id: int) -> None:
        self._tail.append(token_id)
