"""Takes deleted items out of the turns in Redis that hold them, where nobody else goes on from those."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ...model import Conversation, ItemId, Turn, TurnId
from ...transcript.records import RecordPart
from ..redacted import without_items, without_quotes
from ..store import Forgotten, forgotten
from .replies import Replies, line_of_records
from .scripts import Argument, Script, ScriptRunner
from .values import Signer, turn_content

_TREE: Final = Script("tree")
_REDACT: Final = Script("redact")
_RECORDS: Final = Script("records")
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class _Node:
    """A turn as it was read, and how many turns and conversations go on from it."""

    turn: Turn
    value: bytes
    children: int
    heads: int


class RedisRedaction:
    """The scripts see no items: what goes is decided here, and done only if all is still as it was read."""

    def __init__(self, scripts: ScriptRunner, signer: Signer, replies: Replies) -> None:
        self._scripts = scripts
        self._signer = signer
        self._replies = replies

    def of(self, conversation: Conversation) -> list[Forgotten]:
        """What the conversation hides and nobody else can show. Raises StoreFailed."""
        for _ in range(_TRIES if conversation.hidden else 0):
            nodes = self._tree(conversation)
            saw, gone = _to_redact(nodes, conversation)
            if not gone:
                break
            lines = self._lines(conversation.tenant, [node.turn.id for node in saw])
            arguments = [argument for node in saw for argument in self._arguments(node, gone)]
            answer = self._scripts.write(_REDACT, conversation.tenant, *arguments)[0]
            if answer == b"done":
                return _forgotten(lines, {node.turn.id for node in saw})
            if answer == b"shared":
                break
        return []

    def _tree(self, conversation: Conversation) -> dict[TurnId, _Node]:
        _, rows = self._scripts.read(_TREE, conversation.tenant, conversation.id)
        nodes = (
            _Node(self._replies.turn(conversation.tenant, row[:4]), row[1], int(row[4] or 0), int(row[5] or 0))
            for row in rows
        )
        return {node.turn.id: node for node in nodes}

    def _lines(self, tenant: str, turn_ids: Sequence[TurnId]) -> list[list[RecordPart]]:
        parts = self._replies.parts(tenant, self._scripts.read(_RECORDS, tenant, *turn_ids))
        return [line_of_records(parts, turn_id) for turn_id in turn_ids]

    def _arguments(self, node: _Node, gone: Collection[ItemId]) -> Iterator[Argument]:
        left = without_quotes(without_items(node.turn, gone))
        value = self._signer.sign("turn", left.tenant, left.id, turn_content(left))
        yield from (left.id, node.value, node.children, node.heads, value, int(left.stored))


def _forgotten(lines: Sequence[Sequence[RecordPart]], removed: Collection[TurnId]) -> list[Forgotten]:
    return [forgotten(parts, lambda turn_id: turn_id not in removed) for parts in lines if parts]


def _to_redact(nodes: dict[TurnId, _Node], conversation: Conversation) -> tuple[list[_Node], set[ItemId]]:
    """The turns that saw items which can go, and those items."""
    children: dict[TurnId | None, list[_Node]] = {}
    for node in nodes.values():
        children.setdefault(node.turn.parent_id, []).append(node)
    saw: dict[TurnId, _Node] = {}
    gone: set[ItemId] = set()
    for node in nodes.values():
        hidden = conversation.hidden.intersection(item.id for item in node.turn.items)
        below = list(_below(node, children)) if hidden else []
        if below and all(_is_own(other, conversation, len(children.get(other.turn.id, ()))) for other in below):
            gone |= hidden
            saw |= {other.turn.id: other for other in below}
    return list(saw.values()), gone


def _below(node: _Node, children: dict[TurnId | None, list[_Node]]) -> Iterator[_Node]:
    waiting = [node]
    while waiting:
        at = waiting.pop()
        yield at
        waiting += children.get(at.turn.id, [])


def _is_own(node: _Node, conversation: Conversation, known_children: int) -> bool:
    """Whether nobody but this conversation goes back to the turn."""
    heads = 1 if node.turn.id == conversation.head else 0
    in_another = node.turn.conversation_id not in (None, conversation.id)
    is_free = node.turn.stored and node.turn.conversation_id is None
    return (node.children, node.heads) == (known_children, heads) and not in_another and not is_free
