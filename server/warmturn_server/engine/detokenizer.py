"""From output ids to visible text, as early as it is certain."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from ..engine_api.token_stream import TokenStream


class Detokenizer:
    """Text of one sequence's output: never half a character, never any part of a stop string."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        self._stream = TokenStream(tokenizer)
        self._stop = [text for text in stop if text]
        self._held = ""
        self.stopped = False

    @property
    def settled(self) -> bool:
        """Whether what was added so far is visible, all of it."""
        return self._stream.settled and not self._held and not self.stopped

    def add(self, token_id: int, *, may_stop: bool = True) -> str:
        """Text that this token makes certain; empty while a character or a stop string is undecided.

        Unless it `may_stop`, what is said is no stop string, nor the beginning of one.
        """
        text = self._stream.step(token_id)
        return self._visible(text) if may_stop else text

    def finish(self) -> str:
        """What was held back for a character or a stop string that did not come; `stopped` if a stop string did."""
        text = self._visible(self._stream.finish())
        held, self._held = self._held, ""
        return text + held

    def _visible(self, text: str) -> str:
        if self.stopped:
            return ""
        self._held += text
        found = [at for text in self._stop if (at := self._held.find(text)) >= 0]
        if found:
            self.stopped = True
            text, self._held = self._held[: min(found)], ""
            return text
        undecided = max((_overlap(self._held, text) for text in self._stop), default=0)
        text, self._held = self._held[: len(self._held) - undecided], self._held[len(self._held) - undecided :]
        return text


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
