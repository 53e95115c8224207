"""Finds the ids of record of a conversation that a client sends again as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .model import TurnId
from .storage.store import ConversationStore, StoreCorrupt
from .transcript.prefix_digests import TextDigest, prefix_digests
from .transcript.records import Record, RecordPart, agreement, assemble
from .unstored import UnstoredTurns

_CANDIDATES: Final = 16
_CHILDREN: Final = 32


@dataclass(frozen=True, slots=True)
class Base:
    """The record that a turn goes on from, and whose it is."""

    turn_id: TurnId | None = None
    record: Record = Record()  # noqa: RUF009 - frozen


class RecordFinder:
    """Looks among all records of a tenant for the one that begins as a text does, longest first."""

    def __init__(self, store: ConversationStore, vocabulary: str, unstored: UnstoredTurns | None = None) -> None:
        self._store = store
        self._unstored = unstored or UnstoredTurns(0)
        self._vocabulary = vocabulary

    def of_turn(self, tenant: str, turn_id: TurnId) -> Base:
        """The record of a known turn; empty when another tokenizer made it, for then its ids mean nothing here."""
        return self.of_parts(self._store.record_parts(tenant, turn_id))

    def of_parts(self, parts: Sequence[RecordPart]) -> Base:
        if any(part.vocabulary != self._vocabulary for part in parts):
            return Base()
        return Base(parts[-1].turn_id, assemble(parts)) if parts else Base()

    def of_text(self, tenant: str, text: str) -> Base:
        """Of turns that were not to be stored too."""
        chain = prefix_digests(text, tenant, self._vocabulary)
        unstored = [self.of_parts([part]) for part in self._unstored.beginning(chain, _CANDIDATES)]
        return _longest([self._in_log(tenant, chain, text), *unstored], text)

    def shared_tokens(self, tenant: str, record: Record) -> int:
        """How many ids at its beginning are those of another record in the log, too."""
        chain = prefix_digests(record.text, tenant, self._vocabulary)
        other = self._in_log(tenant, chain, record.text).record.token_ids
        pairs = enumerate(zip(other, record.token_ids, strict=False))
        return next((number for number, (its, ours) in pairs if its != ours), min(len(other), len(record)))

    def _in_log(self, tenant: str, chain: Sequence[TextDigest], text: str) -> Base:
        owners = self._store.records_beginning(tenant, chain, _CANDIDATES)
        bases = [self.of_parts(parts) for parts in self._readable(tenant, owners)]
        return self._descend(tenant, _longest(bases, text), text)

    def _readable(self, tenant: str, owners: Sequence[TurnId]) -> list[list[RecordPart]]:
        """Without those that are damaged: a text that was sent again can be tokenised again."""
        try:
            return self._store.record_lines(tenant, owners)
        except StoreCorrupt:
            return [parts for owner in owners if len(owners) > 1 for parts in self._readable(tenant, [owner])]

    def _descend(self, tenant: str, base: Base, text: str) -> Base:
        """Children inherit the prefix_digests of their base and share more of the text than it does, if any does."""
        agreed = agreement(base.record.text, text)
        while base.turn_id and agreed < len(text):
            children = self._store.records_based_on(tenant, base.turn_id, _CHILDREN)
            known = [child for child in children if child.vocabulary == self._vocabulary]
            scored = [(_agreement(base.record, child, text), child) for child in known]
            longest, child = max(scored, key=lambda entry: entry[0], default=(0, None))
            if child is None or longest <= agreed:
                break
            agreed, base = longest, Base(child.turn_id, _extended(base.record, child))
        return base


def _longest(bases: Sequence[Base], text: str) -> Base:
    return max(bases, key=lambda base: agreement(base.record.text, text), default=Base())


def _extended(record: Record, child: RecordPart) -> Record:
    whole = RecordPart(child.turn_id, None, 0, record.token_ids, record.ends, record.text, child.vocabulary)
    return assemble([whole, child])


def _agreement(record: Record, child: RecordPart, text: str) -> int:
    cut = record.text_length(child.kept_tokens)
    if record.text[:cut] != text[:cut]:
        return 0
    return cut + agreement(child.text, text[cut:])
