"""A file on its way in: first what it is, then its parts in any order and as often as they come, then all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal

from ...engine_api.carrier import ArrivingState, StateCarrier
from ...engine_api.report import MissReason
from ..model import ConversationId
from .head import Head, PartKind
from .refusal import FileRefused
from .signing import Trust
from .words import Words, read, read_items

KEPT_SECONDS: Final = 600.0
"""An import of which nothing is heard for so long is over."""
StateMiss = Literal["not_trusted", "fingerprint", "corrupt", "not_found", "no_room"]


@dataclass(frozen=True, slots=True)
class Missed:
    """From which token on state was not taken, and why."""

    at_token: int
    reason: StateMiss
    why: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A part, and where it lies in the file."""

    number: int
    offset: int
    num_bytes: int


class Incoming:
    """One import of one tenant. Safe to use from several threads; a part at a time is in memory, and all words."""

    def __init__(
        self,
        name: str,
        tenant: str,
        head: Head,
        trust: Trust,
        carrier: StateCarrier,
        asked_id: ConversationId | None,
    ) -> None:
        """`asked_id`: which the conversation is to have; None for a new one."""
        self.asked_id = asked_id
        self.name = name
        self.tenant = tenant
        self.head = head
        self.trust = trust
        self.lock = threading.RLock()
        self.conversation: ConversationId | None = None
        """What came of it."""
        self._carrier = carrier
        self._words_parts: dict[int, bytes] = {}
        self._words: Words | None = None
        self._state: ArrivingState | None = None
        self._num_words = sum(part.kind is not PartKind.BLOCK for part in head.parts)
        self._lengths = [part.tokens for part in head.parts[self._num_words :]]
        self._sound = len(self._lengths)
        """Blocks before the first damaged one."""
        self._declined: Missed | None = self._refusal_of_state()
        self._taken = 0
        self._until = time.monotonic() + KEPT_SECONDS

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._until

    @property
    def words(self) -> Words:
        if self._words is None:
            lacking = self._num_words - len(self._words_parts)
            raise FileRefused(
                "import_incomplete", f"{lacking} parts with words have not been sent yet: send them first."
            )
        return self._words

    @property
    def state_tokens(self) -> int:
        """How many tokens the file has state of."""
        return sum(self._lengths)

    @property
    def taken_tokens(self) -> int:
        return self._taken

    @property
    def missed(self) -> Missed | None:
        """Known once it is completed, or declined before anything was sent."""
        return self._declined

    def wanted(self) -> list[Wanted]:
        """What is to be sent next: all words first, for they say which tokens the state is of."""
        with self.lock:
            self._until = time.monotonic() + KEPT_SECONDS
            if self.conversation is not None:
                return []
            if self._words is None:
                return self._located([n for n in range(self._num_words) if n not in self._words_parts])
            lacking = self._state.lacking() if self._state else []
            return self._located([self._num_words + number for number in lacking if number < self._sound])

    def take(self, number: int, content: bytes) -> None:
        """Raises `FileRefused` where this is not that part of the file. Once it is completed nothing is looked at."""
        with self.lock:
            self._until = time.monotonic() + KEPT_SECONDS
            if self.conversation is None:
                self._take(number, content)

    def _take(self, number: int, content: bytes) -> None:
        if not 0 <= number < len(self.head.parts):
            raise FileRefused(
                "part_damaged", f"The file has {len(self.head.parts)} parts, and none of number {number}."
            )
        if number >= self._num_words:
            self._take_block(number - self._num_words, content)
        elif not self.head.parts[number].is_of(content):
            raise FileRefused("part_damaged", f"Part {number}, of the words, is damaged: it does not have its digest.")
        elif self._words is None:
            self._words_parts[number] = content
            if len(self._words_parts) == self._num_words:
                self._read_words()

    def landed(self, conversation: ConversationId) -> None:
        """It is in the log: now its state is the conversation's, as far as it came."""
        self.conversation = conversation
        self._taken = self._state.settle() if self._state else 0
        if self._declined is None and self._taken < self.state_tokens:
            self._declined = self._what_is_missing()
        if self._declined and self._declined.reason in ("fingerprint", "corrupt"):
            reason = MissReason(self._declined.reason)
            self._carrier.decline(self.tenant, self._computed_ids, self._declined.at_token, reason)
        self._state = self._words = None

    def abandon(self) -> None:
        if self._state and self.conversation is None:
            self._state.abandon()

    @property
    def _computed_ids(self) -> Sequence[int]:
        """All but the last one of the record was computed."""
        return self.words.record().token_ids[:-1]

    def _take_block(self, number: int, content: bytes) -> None:
        _ = self.words
        part = self.head.parts[self._num_words + number]
        if self._state is None:
            return
        reason = self._state.take(number, content) if part.is_of(content) else MissReason.CORRUPT
        if reason is not None:
            self._sound = min(self._sound, number)
            raise FileRefused("state_damaged", f"Block {number} of the state is damaged; it is not used from there on.")

    def _read_words(self) -> None:
        parts = [self._words_parts[number] for number in range(self._num_words)]
        self._words = read(parts) if self.trust is Trust.SIGNED else read_items(parts)
        self._words_parts.clear()
        if self._declined is None and self._lengths:
            self._state = self._carrier.arriving(self.tenant, self._computed_ids, self._lengths)
            if self._state is None:
                self._declined = Missed(0, "corrupt", "The file's blocks are not those of its words.")

    def _refusal_of_state(self) -> Missed | None:
        if not self._lengths or self.trust is not Trust.SIGNED:
            why = (
                "nobody signed the file"
                if self.trust is Trust.UNSIGNED
                else "nobody that is known here signed the file"
            )
            return Missed(0, "not_trusted", f"Only the words were taken: {why}.") if self._lengths else None
        if self.head.header.fingerprint != self._carrier.fingerprint:
            what = f"{self.head.header.model}, or of another version or setting than this server's"
            return Missed(0, "fingerprint", f"The file's state is of {what}.")
        return None

    def _what_is_missing(self) -> Missed:
        if self._sound < len(self._lengths) and sum(self._lengths[: self._sound]) <= self._taken:
            return Missed(self._taken, "corrupt", f"Block {self._sound} of the state is damaged.")
        if self._state and not self._state.lacking():
            return Missed(self._taken, "no_room", "The tiers have no more room for it.")
        return Missed(self._taken, "not_found", "The rest of the state was not sent, or is here no more.")

    def _located(self, numbers: Sequence[int]) -> list[Wanted]:
        ends = [*accumulate((part.num_bytes for part in self.head.parts), initial=self.head.num_bytes)]
        return [Wanted(number, ends[number], self.head.parts[number].num_bytes) for number in numbers]
