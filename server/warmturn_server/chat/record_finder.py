"""Finds the ids of record of a conversation that a client sends again as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .model import TurnId
from .storage.store import ConversationStore, StoreCorrupt
from .transcript.control_names import ControlNames, Written
from .transcript.prefix_digests import TextDigest, prefix_digests
from .transcript.records import Record, RecordPart, assemble
from .unstored import UnstoredTurns

_CANDIDATES: Final = 16
_CHILDREN: Final = 32


@dataclass(frozen=True, slots=True)
class Base:
    """The record that a turn goes on from, and whose it is."""

    turn_id: TurnId | None = None
    record: Record = Record()  # noqa: RUF009 - frozen
    foreign_tokens: int = 0
    """How many ids of another tokenizer are on record instead: here they mean nothing."""


class RecordFinder:
    """Looks among all records of a tenant for the one that begins as a text does, longest first."""

    def __init__(
        self,
        store: ConversationStore,
        vocabulary: str,
        unstored: UnstoredTurns | None = None,
        names: ControlNames | None = None,
    ) -> None:
        """`names`: of control tokens, which may stand in a text without being these tokens."""
        self._store = store
        self._names = names or ControlNames()
        self._unstored = unstored or UnstoredTurns(0)
        self._vocabulary = vocabulary

    def of_turn(self, tenant: str, turn_id: TurnId) -> Base:
        """The record of a known turn; empty when another tokenizer made it, for then its ids mean nothing here."""
        return self.of_parts(self._store.record_parts(tenant, turn_id))

    def of_parts(self, parts: Sequence[RecordPart]) -> Base:
        if any(part.vocabulary != self._vocabulary for part in parts):
            return Base(foreign_tokens=len(assemble(parts)))
        return Base(parts[-1].turn_id, assemble(parts)) if parts else Base()

    def of_text(self, tenant: str, written: Written) -> Base:
        """Of turns that were not to be stored too."""
        chain = prefix_digests(written.text, tenant, self._vocabulary)
        unstored = [self.of_parts([part]) for part in self._unstored.beginning(chain, _CANDIDATES)]
        return self._longest([self._in_log(tenant, chain, written), *unstored], written)

    def shared_tokens(self, tenant: str, record: Record) -> int:
        """How many ids at its beginning are those of another record in the log, too."""
        chain = prefix_digests(record.text, tenant, self._vocabulary)
        other = self._in_log(tenant, chain, self._names.of_record(record)).record.token_ids
        pairs = enumerate(zip(other, record.token_ids, strict=False))
        return next((number for number, (its, ours) in pairs if its != ours), min(len(other), len(record)))

    def _in_log(self, tenant: str, chain: Sequence[TextDigest], written: Written) -> Base:
        owners = self._store.records_beginning(tenant, chain, _CANDIDATES)
        bases = [self.of_parts(parts) for parts in self._readable(tenant, owners)]
        return self._descend(tenant, self._longest(bases, written), written)

    def _readable(self, tenant: str, owners: Sequence[TurnId]) -> list[list[RecordPart]]:
        """Without those that are damaged: a text that was sent again can be tokenised again."""
        try:
            return self._store.record_lines(tenant, owners)
        except StoreCorrupt:
            return [parts for owner in owners if len(owners) > 1 for parts in self._readable(tenant, [owner])]

    def _descend(self, tenant: str, base: Base, written: Written) -> Base:
        """Children inherit the prefix_digests of their base and share more of the text than it does, if any does."""
        agreed = self._names.agreement(base.record, written)
        while base.turn_id and agreed < len(written.text):
            children = self._store.records_based_on(tenant, base.turn_id, _CHILDREN)
            known = [child for child in children if child.vocabulary == self._vocabulary]
            scored = [(self._agreement(base.record, agreed, child, written), child) for child in known]
            longest, child = max(scored, key=lambda entry: entry[0], default=(0, None))
            if child is None or longest <= agreed:
                break
            agreed, base = longest, Base(child.turn_id, _extended(base.record, child))
        return base

    def _longest(self, bases: Sequence[Base], written: Written) -> Base:
        return max(bases, key=lambda base: self._names.agreement(base.record, written), default=Base())

    def _agreement(self, record: Record, agreed: int, child: RecordPart, written: Written) -> int:
        """Of a child of `record`, which itself agrees so far."""
        cut = record.text_length(child.kept_tokens)
        if cut > agreed:
            return 0
        return cut + self._names.agreement(Record(child.token_ids, child.ends, child.text), written.since(cut))


def _extended(record: Record, child: RecordPart) -> Record:
    whole = RecordPart(child.turn_id, None, 0, record.token_ids, record.ends, record.text, child.vocabulary)
    return assemble([whole, child])
