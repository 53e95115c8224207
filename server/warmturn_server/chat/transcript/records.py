"""The ids of record: the very token ids the model saw and chose, and the text that they stand for."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from ..model import TurnId


@dataclass(frozen=True, slots=True)
class Record:
    """Token i ends at `text[:ends[i]]`; tokens that share a character all end behind it, so no cut can part them."""

    token_ids: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    text: str = ""

    def __len__(self) -> int:
        return len(self.token_ids)

    def text_length(self, tokens: int) -> int:
        """Characters that the first `tokens` tokens stand for."""
        return self.ends[tokens - 1] if tokens else 0


@dataclass(frozen=True, slots=True)
class RecordPart:
    """What one turn adds: it keeps `kept_tokens` ids of `base_id`'s record and goes on with its own.

    `ends` count from the start of this part's own `text`.
    """

    turn_id: TurnId
    base_id: TurnId | None
    kept_tokens: int
    token_ids: tuple[int, ...]
    ends: tuple[int, ...]
    text: str
    vocabulary: str
    """Fingerprint of the tokenizer: under another one these ids mean something else."""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Packed:
    """A part whose numbers take four bytes each."""

    _rest: RecordPart
    _token_ids: bytes
    _ends: bytes

    @classmethod
    def of(cls, part: RecordPart) -> Self:
        return cls(replace(part, token_ids=(), ends=()), packed(part.token_ids), packed(part.ends))

    def unpacked(self) -> RecordPart:
        return replace(self._rest, token_ids=unpacked(self._token_ids), ends=unpacked(self._ends))

    @property
    def num_bytes(self) -> int:
        return len(self._token_ids) + len(self._ends) + len(self._rest.text.encode())


def packed(numbers: Iterable[int]) -> bytes:
    """Little-endian, four bytes each."""
    content = array("I", numbers)
    if sys.byteorder == "big":
        content.byteswap()
    return content.tobytes()


def unpacked(content: bytes) -> tuple[int, ...]:
    numbers = array("I", content)
    if sys.byteorder == "big":
        numbers.byteswap()
    return tuple(numbers)


def assemble(parts: Iterable[RecordPart]) -> Record:
    """The whole record at the last of `parts`, which lead from the root of the tree to it."""
    token_ids, ends, text = array("q"), array("q"), ""
    for part in parts:
        del token_ids[part.kept_tokens :]
        del ends[part.kept_tokens :]
        cut = ends[-1] if ends else 0
        token_ids.extend(part.token_ids)
        ends.extend(cut + end for end in part.ends)
        text = text[:cut] + part.text
    return Record(tuple(token_ids), tuple(ends), text)


def agreement(left: str, right: str) -> int:
    """Length of the longest common beginning, by halving: string slices compare far faster than characters do."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
