"""What a deletion leaves to be forgotten: records that nobody can reach any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .ids import TurnId
from .records import RecordPart, assemble
from .store import Forgotten


def forgotten(parts: Sequence[RecordPart], is_kept: Callable[[TurnId], bool]) -> Forgotten:
    """Of the removed record at the end of `parts`; its leading ids still belong to the nearest one that is kept."""
    record = assemble(parts)
    shared = len(record)
    for part in reversed(parts):
        if is_kept(part.turn_id):
            return Forgotten(record, shared)
        shared = min(shared, part.kept_tokens)
    return Forgotten(record, 0)
