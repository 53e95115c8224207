"""From schema 1 (version 0.1.0) to the present one: rows get checksums, and what was deleted by then goes at last.

A record could be based on any other; there, one goes on from an earlier turn's of its own conversation only. Records of
turns that were not stored, or are gone, are left behind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from ...model import Turn, TurnId
from ...transcript.prefix_digests import own_prefix_digests, prefix_digests
from ...transcript.records import RecordPart, assemble
from .rewriting import rewrite, unreadable
from .rows import conversation_from, conversation_row, record_from, record_row, turn_from, turn_row
from .schema import insert
from .seal import RowSeal

_T = TypeVar("_T")


def migrate(path: Path, seal: RowSeal) -> None:
    """Raises StartRefused."""
    rewrite(path, seal, partial(_fill, seal))


def _fill(seal: RowSeal, old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    for conversation in _read(old, "conversation", conversation_from):
        insert(new, "conversation", seal.sealed("conversation", conversation_row(conversation)))
    turns = {(turn.tenant, turn.id): turn for turn in _read(old, "turn", turn_from)}
    parts = {(part.tenant, part.turn_id): part for part in _read(old, "record", record_from)}
    for key, turn in turns.items():
        line = list(_line(parts, parts.get(key)))
        insert(new, "turn", seal.sealed("turn", turn_row(turn, recorded=bool(line))))
        if line:
            part = line[-1] if _is_on_its_way(line[-1], turns, turn) else _alone(line)
            _insert_record(new, seal, part, assemble(line).text)


def _insert_record(new: sqlite3.Connection, seal: RowSeal, part: RecordPart, text: str) -> None:
    seq = insert(new, "record", seal.sealed("record", record_row(part)))
    inherited = len(text) - len(part.text) if part.base_id else 0
    for digest in own_prefix_digests(prefix_digests(text, part.tenant, part.vocabulary), inherited):
        insert(new, "beginning", {"digest": digest, "record": seq})


def _is_on_its_way(part: RecordPart, turns: dict[tuple[str, TurnId], Turn], turn: Turn) -> bool:
    """Whether it is based on nothing, or on an earlier turn's record."""
    at: Turn | None = turn
    while part.base_id is not None and at is not None:
        if at.parent_id == part.base_id:
            return True
        at = turns.get((turn.tenant, at.parent_id)) if at.parent_id else None
    return part.base_id is None


def _alone(line: Iterable[RecordPart]) -> RecordPart:
    *_, last = line = list(line)
    whole = assemble(line)
    return RecordPart(last.turn_id, None, 0, whole.token_ids, whole.ends, whole.text, last.vocabulary, last.tenant)


def _line(parts: dict[tuple[str, TurnId], RecordPart], part: RecordPart | None) -> Iterator[RecordPart]:
    """From the root to this part; nothing where one is missing."""
    line = []
    while part is not None:
        line.append(part)
        part = parts.get((part.tenant, part.base_id)) if part.base_id else None
    if line and line[-1].base_id is None:
        yield from reversed(line)


def _read(old: sqlite3.Connection, table: str, reader: Callable[[sqlite3.Row], _T]) -> Iterator[_T]:
    """Rows of that schema had no checksums: what can be read is believed."""
    for number, row in enumerate(old.execute(f"SELECT * FROM {table} ORDER BY seq"), 1):
        try:
            yield reader(row)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise unreadable(table, number) from None
