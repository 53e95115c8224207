"""Turns out of a file as changes to the log: everything in it has new names, so that nothing here is overwritten."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from ..model import ConversationId, Item, ItemId, Turn, TurnId, new_turn_id
from ..storage.store import Append
from ..transcript.prefix_digests import CHUNK_CHARS, TextDigest, own_prefix_digests, prefix_digests
from ..transcript.records import RecordPart
from .words import Words


def appends_of(words: Words, tenant: str, conversation: ConversationId) -> list[Append]:
    """In order, each turn behind the one before it."""
    names = {turn.id: new_turn_id() for turn in words.turns}
    digests = _Digests(tenant)
    appends: list[Append] = []
    parent: TurnId | None = None
    for turn in words.turns:
        adopted = replace(
            _renamed(turn), id=names[turn.id], parent_id=parent, conversation_id=conversation, tenant=tenant
        )
        part = words.records.get(turn.id)
        if part is None:
            appends.append(Append(adopted))
        else:
            base = names[part.base_id] if part.base_id else None
            record = replace(part, turn_id=adopted.id, base_id=base, tenant=tenant)
            appends.append(Append(adopted, record, digests.of(record)))
        parent = adopted.id
    return appends


def _renamed(turn: Turn) -> Turn:
    input_items, output_items = (tuple(map(_new, items)) for items in (turn.input, turn.output))
    return replace(turn, input=input_items, output=output_items)


def _new(item: Item) -> Item:
    """Its kind stays in its name."""
    kind, _, _ = item.id.partition("_")
    return replace(item, id=ItemId(f"{kind if kind.isalpha() else 'msg'}_{secrets.token_hex(24)}"))


class _Digests:
    """Of a line of records: what one has of the one before it is not digested again."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._text = ""
        self._ends: list[int] = []
        self._chain: list[TextDigest] = []

    def of(self, part: RecordPart) -> Sequence[TextDigest]:
        inherited = self._ends[part.kept_tokens - 1] if part.kept_tokens else 0
        self._text = self._text[:inherited] + part.text
        self._ends = [*self._ends[: part.kept_tokens], *(inherited + end for end in part.ends)]
        known = self._chain[: inherited // CHUNK_CHARS + 1] if inherited else []
        self._chain = prefix_digests(self._text, self._tenant, part.vocabulary, known)
        return own_prefix_digests(self._chain, inherited)
