"""Tokenises texts in which names of control tokens are only spelled out."""

from __future__ import annotations

import secrets
from bisect import bisect_left
from typing import Final

from tokenizers import AddedToken, Tokenizer

from .control_names import Written

_BYTES: Final = 16


class SpelledOut:
    """A second tokenizer: in its text such a name is cut in two by a token that nobody can write, for it is made up
    anew in each process. Nothing finds the name then, nor merges to its token; the ids are told without the cut."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._cut = secrets.token_hex(_BYTES)
        self._tokenizer.add_tokens([AddedToken(self._cut, special=False, normalized=True)])
        self._cut_id = self._tokenizer.token_to_id(self._cut)

    def encode(self, written: Written) -> tuple[list[int], list[int]]:
        """Ids, and behind how many characters of the text each one ends."""
        cuts = sorted(start + 1 for start in written.spelled)
        bounds = zip([0, *cuts], [*cuts, len(written.text)], strict=True)
        pieces = [written.text[start:stop] for start, stop in bounds]
        encoding = self._tokenizer.encode_batch([self._cut.join(pieces)], add_special_tokens=False)[0]
        stood = [cut + number * len(self._cut) for number, cut in enumerate(cuts)]
        ends = [end - bisect_left(stood, end) * len(self._cut) for _, end in encoding.offsets]
        kept = [number for number, token_id in enumerate(encoding.ids) if token_id != self._cut_id]
        return [encoding.ids[number] for number in kept], [ends[number] for number in kept]
