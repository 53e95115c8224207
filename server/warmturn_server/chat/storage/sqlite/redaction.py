"""Takes deleted items out of the turns that hold them, once nobody shows them any more."""

from __future__ import annotations

from functools import partial
from typing import Final

from ...model import Conversation, ItemId, Turn, TurnId
from ...transcript.records import RecordPart
from ..redacted import without_items, without_quotes
from ..store import Forgotten, forgotten
from .connection import SealedConnection
from .queries import Queries
from .rows import conversation_from, turn_from, turn_row

_BELOW: Final = """WITH RECURSIVE below (id) AS (
    SELECT id FROM turn WHERE tenant = :tenant AND id = :id
    UNION
    SELECT turn.id FROM turn JOIN below ON turn.parent = below.id WHERE turn.tenant = :tenant)"""


class Redaction:
    """Works inside a transaction of the store, with its lock held."""

    def __init__(self, connection: SealedConnection, queries: Queries) -> None:
        self._connection = connection
        self._database = connection.database
        self._queries = queries

    def of_all(self) -> None:
        """Where it was not done when the items were deleted."""
        rows = self._database.execute("SELECT * FROM conversation WHERE hidden != '[]'").fetchall()
        for conversation in [conversation_from(row) for row in rows if self._connection.seal.fits("conversation", row)]:
            self.of(conversation)

    def of_tree(self, tenant: str, turn_id: TurnId) -> list[Forgotten]:
        """All that is hidden in all conversations that go back to this turn."""
        shown = self._shown_in(tenant, turn_id)
        return [entry for conversation in shown if conversation for entry in self.of(conversation)]

    def of(self, conversation: Conversation) -> list[Forgotten]:
        """What the conversation hides and nobody else shows; the records that hold it go with it."""
        tenant, lines = conversation.tenant, dict[TurnId, list[RecordPart]]()
        for turn in self._turns_of(conversation) if conversation.hidden else ():
            hidden = conversation.hidden.intersection(item.id for item in turn.items)
            if gone := hidden and self._hidden_everywhere(tenant, turn.id, hidden):
                lines |= self._take_out(turn, gone)
        return [forgotten(parts, partial(self._queries.has_record, tenant)) for parts in lines.values()]

    def _turns_of(self, conversation: Conversation) -> list[Turn]:
        """Those that it says, and those of its own that were undone."""
        tenant = conversation.tenant
        own = self._database.execute(
            "SELECT * FROM turn WHERE tenant = ? AND conversation = ? ORDER BY seq", (tenant, conversation.id)
        ).fetchall()
        turns = [turn_from(row) for row in own if self._connection.seal.fits("turn", row)]
        line = self._queries.line_of_turns(tenant, conversation.head)
        return list({turn.id: turn for turn in (*turns, *line)}.values())

    def _hidden_everywhere(self, tenant: str, turn_id: TurnId, items: frozenset[ItemId]) -> frozenset[ItemId]:
        """A response that belongs to no conversation shows all that it goes back to, and so does what is damaged."""
        free = self._database.execute(
            f"{_BELOW} SELECT 1 FROM turn JOIN below USING (id)"
            " WHERE tenant = :tenant AND stored AND conversation IS NULL",
            {"tenant": tenant, "id": turn_id},
        )
        if free.fetchone():
            return frozenset()
        return items.intersection(*(found.hidden if found else () for found in self._shown_in(tenant, turn_id)))

    def _shown_in(self, tenant: str, turn_id: TurnId) -> list[Conversation | None]:
        """None for one that is damaged."""
        rows = self._database.execute(
            f"""{_BELOW} SELECT * FROM conversation WHERE tenant = :tenant AND (
                    head IN below OR id IN (
                        SELECT conversation FROM turn JOIN below USING (id) WHERE tenant = :tenant))""",
            {"tenant": tenant, "id": turn_id},
        ).fetchall()
        return [conversation_from(row) if self._connection.seal.fits("conversation", row) else None for row in rows]

    def _take_out(self, turn: Turn, items: frozenset[ItemId]) -> dict[TurnId, list[RecordPart]]:
        """Of the turn, and with the records of all turns that saw it; those are returned."""
        below = self._database.execute(
            f"{_BELOW} SELECT turn.* FROM turn JOIN below USING (id) WHERE tenant = :tenant",
            {"tenant": turn.tenant, "id": turn.id},
        ).fetchall()
        saw = [turn_from(row) for row in below if self._connection.seal.fits("turn", row)]
        lines = {other.id: self._queries.line_of_records(other.tenant, other.id) for other in saw}
        for other in saw:
            left = without_quotes(without_items(other, items))
            self._connection.update("turn", turn_row(left, recorded=False))
            self._database.execute("DELETE FROM record WHERE tenant = ? AND id = ?", (other.tenant, other.id))
        return {turn_id: parts for turn_id, parts in lines.items() if parts}
