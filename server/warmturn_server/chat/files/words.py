"""What a conversation says, as parts of a file, and back. Nothing of it that was deleted is in one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any, Final

from ..model import Item, Reply, Turn, TurnId, items_from, visible_turns
from ..storage.redacted import without_items, without_quotes
from ..storage.redis.values import record_content, record_of, turn_content, turn_of
from ..storage.store import Opened
from ..transcript.records import Record, RecordPart, assemble
from .refusal import FileRefused

_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
_MOST_PAIRS: Final = 16
_MOST_NAME_CHARS: Final = 64
_MOST_VALUE_CHARS: Final = 512


class Words:
    """`turns` in order; `records`: of those whose ids are known, as far as one goes on from the other."""

    def __init__(
        self, metadata: Mapping[str, str], created_at: int, turns: Sequence[Turn], records: Mapping[TurnId, RecordPart]
    ) -> None:
        self.metadata = metadata
        self.created_at = created_at
        self.turns = turns
        self.records = records

    @property
    def items(self) -> list[Item]:
        return [item for turn in self.turns for item in turn.items]

    @property
    def line(self) -> list[RecordPart]:
        """The record parts, from the first to the last."""
        return [self.records[turn.id] for turn in self.turns if turn.id in self.records]

    def record(self) -> Record:
        """The ids that a next turn goes on from."""
        return assemble(self.line)

    @property
    def vocabulary(self) -> str | None:
        """Of the tokenizer that the ids are of; None where there are none, or of several."""
        known = {part.vocabulary for part in self.line}
        return known.pop() if len(known) == 1 else None


def words_of(opened: Opened) -> Words:
    """What the conversation shows. An item that was deleted here may be in the log for a fork that still shows it: then
    neither it nor what was recorded of the turns that may have seen it is told."""
    hidden = opened.conversation.hidden
    turns = visible_turns(opened.turns, hidden)
    clean = next((n for n, turn in enumerate(turns) if any(item.id in hidden for item in turn.items)), len(turns))
    told = [*turns[:clean], *(without_quotes(without_items(turn, hidden)) for turn in turns[clean:])]
    records: dict[TurnId, RecordPart] = {}
    untouched = {turn.id for turn in turns[:clean]}
    previous: TurnId | None = None
    for part in opened.parts:
        if part.turn_id not in untouched or part.base_id != previous:
            break
        records[part.turn_id] = part
        previous = part.turn_id
    conversation = opened.conversation
    return Words(conversation.metadata, conversation.created_at, told, records)


def written(words: Words) -> list[bytes]:
    """The conversation, then a part for each turn."""
    conversation = {"metadata": dict(words.metadata), "created_at": words.created_at}
    return [_packed(conversation), *(_packed(_written(turn, words.records.get(turn.id))) for turn in words.turns)]


def read(parts: Sequence[bytes]) -> Words:
    """Of a file that is believed. Raises `FileRefused` for what this version cannot read."""
    try:
        conversation, *turns = map(_unpacked, parts)
        metadata, created_at = _metadata(conversation["metadata"]), int(conversation["created_at"])
        told = [_turn(turn) for turn in turns]
        parts_of = [record_of(turn["record"], "") for turn in turns if turn["record"]]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise _not_understood() from None
    words = Words(metadata, created_at, told, {part.turn_id: part for part in parts_of})
    try:
        _check(words)
    except TypeError:
        raise _not_understood() from None
    return words


def read_items(parts: Sequence[bytes]) -> Words:
    """Of a file that anybody may have made: what was said, and nothing about it."""
    try:
        conversation, *turns = map(_unpacked, parts)
        metadata = _metadata(conversation["metadata"])
        said = [items_from([*turn["turn"]["input"], *turn["turn"]["output"]]) for turn in turns]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise _not_understood() from None
    items = tuple(item for own in said for item in own)
    for item in items:
        _check_item(item)
    turn = Turn(TurnId(""), None, None, 0, input=items)
    return Words(metadata, 0, [turn] if items else [], {})


def _written(turn: Turn, record: RecordPart | None) -> dict[str, object]:
    return {"turn": turn_content(turn), "stored": turn.stored, "record": record_content(record) if record else None}


def _packed(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def _unpacked(part: bytes) -> dict[str, Any]:
    content = json.loads(part)
    if not isinstance(content, dict):
        raise TypeError
    return content


def _turn(content: Mapping[str, Any]) -> Turn:
    """Of a reply that another version wrote, what this one knows."""
    told = dict(content["turn"])
    if told["reply"]:
        known = {field.name for field in fields(Reply)}
        told["reply"] = {name: value for name, value in told["reply"].items() if name in known}
    return turn_of(told, "", stored=bool(content["stored"]), in_conversation=False)


def _metadata(given: Mapping[str, Any]) -> dict[str, str]:
    pairs = [*given.items()]
    if len(pairs) > _MOST_PAIRS:
        raise ValueError
    for name, value in pairs:
        if not isinstance(value, str) or len(name) > _MOST_NAME_CHARS or len(value) > _MOST_VALUE_CHARS:
            raise ValueError
    return dict(pairs)


def _check(words: Words) -> None:
    """What the log relies on: a damaged one would be refused later, turn by turn."""
    for item in words.items:
        _check_item(item)
    known, length = None, 0
    if words.line and words.vocabulary is None:
        raise _not_understood()
    for part in words.line:
        ends_rise = all(one <= other for one, other in pairwise((0, *part.ends, len(part.text))))
        if part.base_id != known or not 0 <= part.kept_tokens <= length or not ends_rise or not _are_ids(part):
            raise _not_understood()
        known, length = part.turn_id, part.kept_tokens + len(part.token_ids)
    if len({turn.id for turn in words.turns}) < len(words.turns):
        raise _not_understood()


def _are_ids(part: RecordPart) -> bool:
    numbers = [*part.token_ids, *part.ends]
    return len(part.token_ids) == len(part.ends) and all(isinstance(one, int) and 0 <= one < 2**32 for one in numbers)


def _check_item(item: Item) -> None:
    """As far as templates and readers go by it."""
    texts = [getattr(part, name) for part in item.content for name in type(part).__slots__]
    if item.role not in _ROLES or not isinstance(item.complete, bool) or not isinstance(item.id, str):
        raise _not_understood()
    if not all(isinstance(text, str | int | None) for text in texts):
        raise _not_understood()
    try:
        item.as_message()
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _not_understood() from None


def _not_understood() -> FileRefused:
    return FileRefused("file_damaged", "What the file says of its conversation cannot be read by this version.")
