"""Turns and records as scripts reply with them: believed only if they were signed here, and in the order of making."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ...model import Turn, TurnId
from ...transcript.records import RecordPart
from ..store import Forgotten, StoreCorrupt, StoreFailed, VersionConflict, forgotten
from .scripts import Reply
from .values import Signer, record_of, turn_of

_log = logging.getLogger(__name__)


class Replies:
    """All raise StoreCorrupt."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def turn(self, tenant: str, row: Sequence[bytes]) -> Turn:
        name, value, stored, conversation = row
        content = self._signer.read("turn", tenant, name.decode(), value)
        return turn_of(content, tenant, stored=stored == b"1", in_conversation=bool(conversation))

    def line_of_turns(self, tenant: str, last: TurnId | None, rows: Reply) -> list[Turn]:
        """From newest first to oldest first. Who may write to Redis may still not put turns in another order."""
        turns = [self.turn(tenant, row) for row in reversed(rows)]
        parents = [None, *(turn.id for turn in turns)]
        if (turns and turns[-1].id != last) or any(
            turn.parent_id != parent for turn, parent in zip(turns, parents, strict=False)
        ):
            raise StoreCorrupt(f"The turns before '{last}' in the conversation log are not those it was made from.")
        return turns

    def parts(self, tenant: str, rows: Reply) -> dict[TurnId, RecordPart]:
        parts: dict[TurnId, RecordPart] = {}
        for name, value in rows:
            content = self._signer.read("record", tenant, name.decode(), value)
            parts[TurnId(name.decode())] = record_of(content, tenant)
        return parts

    def readable_parts(self, tenant: str, rows: Reply) -> list[RecordPart]:
        """Without those that are damaged: nothing depends on them."""
        found: list[RecordPart] = []
        for row in rows:
            with suppress(StoreCorrupt):
                found += self.parts(tenant, [row]).values()
        return found

    def removed(self, tenant: str, reply: Reply) -> list[Forgotten]:
        """What was damaged is gone as well; only nobody knows which state belonged to it: that is no error."""
        _, removed, flat = reply
        try:
            parts = self.parts(tenant, list(zip(flat[::2], flat[1::2], strict=True)))
            gone = [TurnId(name.decode()) for name in removed]
            return [forgotten(line_of_records(parts, turn_id), lambda other: other not in gone) for turn_id in gone]
        except StoreCorrupt as error:
            _log.error("removed, but its saved state stays until it is evicted: %s", error)
            return []


def line_of_records(parts: Mapping[TurnId, RecordPart], turn_id: TurnId) -> list[RecordPart]:
    """From the root to `turn_id`; empty when a part is missing."""
    line: list[RecordPart] = []
    at: TurnId | None = turn_id
    while at is not None and len(line) <= len(parts):
        if at not in parts:
            return []
        line.append(parts[at])
        at = parts[at].base_id
    return line[::-1]


def refuse_unless_done(reply: Reply) -> None:
    """Raises VersionConflict with what happened instead, and StoreFailed for what no script says."""
    answer = reply[0].decode()
    if answer == "gone":
        raise VersionConflict("What this turn goes on from was deleted meanwhile.")
    if answer == "changed":
        raise VersionConflict("The conversation was changed or deleted meanwhile; ask for it again and repeat.")
    if answer == "stale":
        raise VersionConflict("Another server has taken over the conversation meanwhile; ask for it again and repeat.")
    if answer != "done":
        raise StoreFailed(f"The conversation log in Redis gave an unknown answer: {answer}.")
