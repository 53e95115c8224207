"""The library's incremental decoder, without what it leaves open."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class TokenStream:
    """Visible text of ids, one after the other: special tokens say nothing, half a character waits for the rest.

    `context`: ids before the first one; some decoders treat the first token of a text differently.
    """

    def __init__(self, tokenizer: Tokenizer, context: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(ids=list(context), skip_special_tokens=True)
        self._latest = list(context)
        self._open: list[int] = []

    @property
    def settled(self) -> bool:
        """Whether all text of the ids so far was given."""
        return not self._open

    def step(self, token_id: int) -> str:
        """The text that this token makes certain."""
        self._open.append(token_id)
        try:
            text = self._stream.step(self._tokenizer, token_id)
        except Exception:  # tokenizers raises a bare Exception where byte-fallback pieces do not fit together
            self._stream = DecodeStream(skip_special_tokens=True)
            self._latest, self._open = [], [token_id]
            text = self._stream.step(self._tokenizer, token_id)
        if text:
            self._latest, self._open = self._open, []
        return text or ""

    def finish(self) -> str:
        """The whole characters among what was not given yet, for it ends within one: no more is to come."""
        return self.rest().rstrip(_UNFINISHED)

    def rest(self) -> str:
        """What was not given yet, half a character as U+FFFD; what comes after it begins anew."""
        before = self._tokenizer.decode(self._latest, skip_special_tokens=True)
        text = self._tokenizer.decode(self._latest + self._open, skip_special_tokens=True)
        rest = text[len(before) :] if text.startswith(before) else ""
        if rest:
            self._stream, self._latest = DecodeStream(skip_special_tokens=True), []
        self._open = []
        return rest
