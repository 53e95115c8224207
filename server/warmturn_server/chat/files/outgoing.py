"""A file on its way out: its head is known beforehand, so it can be read from any place on, as often as is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ...engine_api.carrier import LeavingState
from .head import Head, Part, PartKind


class Gone(Exception):
    """A block left the tiers while the file was read; asked for again, the file has less state."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Nothing but the words and one block at a time is in memory."""

    name: str
    head: Head
    words: Sequence[bytes]
    state: LeavingState | None

    @property
    def total_bytes(self) -> int:
        return self.head.total_bytes

    @property
    def tag(self) -> str:
        """The same for the same bytes."""
        return hashlib.sha256(self.head.packed()).hexdigest()[:32]

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Bytes `[start, stop)`, a part at a time; those before are not read at all. Raises `Gone`."""
        sizes = [self.head.num_bytes, *(part.num_bytes for part in self.head.parts)]
        for number, (end, size) in enumerate(zip(accumulate(sizes), sizes, strict=True)):
            first, last = max(start - end + size, 0), min(stop - end + size, size)
            if first < last:
                yield self._piece(number)[first:last]

    def _piece(self, number: int) -> bytes:
        """The head, then the parts."""
        if number == 0:
            return self.head.packed()
        if number <= len(self.words):
            return self.words[number - 1]
        assert self.state is not None, "only state has more parts"
        block = self.state.read(number - 1 - len(self.words))
        if block is None or not self.head.parts[number - 1].is_of(block):
            raise Gone
        return block


def outgoing(
    name: str, words: Sequence[bytes], state: LeavingState | None, sign: Callable[[Sequence[Part]], Head]
) -> Outgoing:
    """Reads all of the state once, for its digests; it ends where the tiers no longer have it."""
    kinds = [PartKind.CONVERSATION, *[PartKind.TURN] * (len(words) - 1)]
    parts = [Part.of(kind, content) for kind, content in zip(kinds, words, strict=True)]
    return Outgoing(name, sign([*parts, *(_blocks(state) if state else ())]), words, state)


def _blocks(state: LeavingState) -> Iterator[Part]:
    for number, tokens in enumerate(state.lengths):
        block = state.read(number)
        if block is None:
            return
        yield Part.of(PartKind.BLOCK, block, tokens)
