"""What a conversation says goes into a file and comes back; what was deleted of it does not."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.server.chat.making import conversation, record, turn

from warmturn_server.chat import ConversationId, Item, ItemId, Reasoning, Text, ToolCall, ToolResult, Turn
from warmturn_server.chat.files.adoption import appends_of
from warmturn_server.chat.files.refusal import FileRefused
from warmturn_server.chat.files.words import read, read_items, words_of, written
from warmturn_server.chat.storage.store import Opened
from warmturn_server.chat.transcript.prefix_digests import own_prefix_digests, prefix_digests
from warmturn_server.chat.transcript.records import RecordPart, assemble

C = ConversationId("conv_1")
FIRST, SECOND, THIRD = (
    turn("a", said=("one?", "1")),
    turn("b", "a", said=("two?", "2")),
    turn("c", "b", said=("3?", "3")),
)
RECORDS = [record("a", "one?1" * 30), record("b", "two?2" * 30, "a", 100), record("c", "3?3", "b", 240)]


def opened(*turns: Turn, records: list[RecordPart] = RECORDS, hidden: tuple[str, ...] = ()) -> Opened:
    kept = replace(conversation(C, metadata={"title": "counting"}), hidden=frozenset(map(ItemId, hidden)))
    return Opened(kept, [*turns], records)


def test_turns_records_and_metadata_come_back() -> None:
    words = words_of(opened(FIRST, SECOND, THIRD))
    again = read(written(words))
    assert (again.metadata, again.created_at) == ({"title": "counting"}, 1)
    assert [replace(one, conversation_id=None) for one in again.turns] == [FIRST, SECOND, THIRD]
    assert again.line == RECORDS
    assert again.record() == assemble(RECORDS)
    assert written(again) == written(words)


def test_every_kind_of_part_comes_back() -> None:
    said = (
        Item(ItemId("msg_1"), "user", (Text("what is it?"), Text("tell"))),
        Item(ItemId("rs_1"), "assistant", (Reasoning("hm \ud83d"), ToolCall("call_1", "look", '{"at": 1}')), False),
        Item(ItemId("fco_1"), "tool", (ToolResult("call_1", "a cat"),)),
    )
    parts = written(words_of(opened(replace(FIRST, input=said), records=[])))
    assert read(parts).turns[0].input == said
    assert read_items(parts).items == [*said, *FIRST.output]


def test_adopted_it_is_another_conversation_with_the_same_words_and_ids() -> None:
    words = words_of(opened(FIRST, SECOND, THIRD))
    appends = appends_of(words, "tenant", ConversationId("conv_2"))
    names = {append.turn.id for append in appends}
    assert not names & {"a", "b", "c"}
    assert [append.turn.parent_id for append in appends] == [None, appends[0].turn.id, appends[1].turn.id]
    assert {(append.turn.tenant, append.turn.conversation_id) for append in appends} == {("tenant", "conv_2")}
    items = [item for append in appends for item in append.turn.items]
    assert [item.text for item in items] == [item.text for item in words.items]
    assert not {item.id for item in items} & {item.id for item in words.items}
    adopted = [append.record for append in appends if append.record]
    assert assemble(adopted) == assemble(RECORDS)
    whole, inherited = "", 0
    for append, part in zip(appends, adopted, strict=True):
        whole, inherited = assemble(adopted[: adopted.index(part) + 1]).text, part.kept_tokens
        chain = prefix_digests(whole, "tenant", part.vocabulary)
        assert append.prefix_digests == own_prefix_digests(chain, inherited), "they are found by their text"


def test_a_deleted_item_is_in_no_file_though_a_fork_keeps_it_here() -> None:
    """Nor is what was recorded of the turns that saw it, nor what a report quotes of it."""
    quoting = {"miss": {"rewrite": {"text": "two?"}}}
    assert THIRD.reply
    third = replace(THIRD, reply=replace(THIRD.reply, report=quoting))
    words = words_of(opened(FIRST, SECOND, third, hidden=(SECOND.input[0].id,)))
    told = b"".join(written(words))
    assert b"two?" not in told
    assert b"one?1" in told
    assert [item.text for item in words.items] == ["one?", "1", "2", "3?", "3"]
    assert words.line == RECORDS[:1]


def test_what_was_undone_is_in_no_file() -> None:
    words = words_of(opened(FIRST, SECOND, hidden=tuple(item.id for item in SECOND.items), records=RECORDS[:2]))
    assert [one.id for one in words.turns] == ["a"]
    assert words.line == RECORDS[:1]
    assert b"two?" not in b"".join(written(words))


def test_of_an_unknown_signer_only_what_was_said_is_read() -> None:
    words = read_items(written(words_of(opened(FIRST, SECOND, THIRD))))
    (only,) = words.turns
    assert [item.text for item in only.input] == ["one?", "1", "two?", "2", "3?", "3"]
    assert (only.output, only.reply, words.records) == ((), None, {})


def test_an_empty_conversation() -> None:
    parts = written(words_of(opened(records=[])))
    assert (len(parts), read(parts).turns, read_items(parts).turns) == (1, [], [])


def test_fields_of_a_reply_that_a_newer_version_has_are_left_out() -> None:
    parts = changed(lambda told: told["turn"]["reply"].update(mood="good"))
    assert read(parts).turns[0].reply == FIRST.reply


def changed(change: Callable[[dict[str, Any]], object]) -> list[bytes]:
    first, told, *rest = written(words_of(opened(FIRST, SECOND)))
    content = json.loads(told)
    change(content)
    return [first, json.dumps(content).encode(), *rest]


def set_to(value: object, *path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = value

    return change


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "no_turn": lambda told: told.pop("turn"),
    "role": set_to("root", "turn", "input", 0, "role"),
    "text": set_to([7.5], "turn", "input", 0, "parts"),
    "kind": set_to([{"type": "spell", "text": "x"}], "turn", "input", 0, "parts"),
    "arguments": set_to(
        [{"type": "tool_call", "call_id": "c", "name": "n", "arguments": ["{"]}], "turn", "output", 0, "parts"
    ),
    "complete": set_to("yes", "turn", "input", 0, "complete"),
    "item_id": set_to(5, "turn", "input", 0, "id"),
}
WRONG_IF_BELIEVED: dict[str, Callable[[dict[str, Any]], object]] = {
    "base": set_to("nobody", "record", "base"),
    "kept": set_to(1, "record", "kept_tokens"),
    "more_ends": lambda told: told["record"]["ends"].append(150),
    "ends_fall": lambda told: told["record"]["ends"].reverse(),
    "end_behind_text": set_to(10**6, "record", "ends", 149),
    "huge_id": set_to(2**40, "record", "token_ids", 0),
    "no_number": set_to("1", "record", "token_ids", 0),
    "float": set_to(1.0, "record", "token_ids", 0),
    "vocabulary": set_to("tokenizer-2", "record", "vocabulary"),
    "reply": set_to({"model": "m"}, "turn", "reply"),
}


@pytest.mark.parametrize("change", [*WRONG.values(), *WRONG_IF_BELIEVED.values()], ids=[*WRONG, *WRONG_IF_BELIEVED])
def test_what_the_log_could_not_go_on_from_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(FileRefused):
        read(changed(change))


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_so_it_is_where_only_the_words_are_read(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(FileRefused):
        read_items(changed(change))


@pytest.mark.parametrize(
    "metadata", [{str(n): "x" for n in range(17)}, {"x" * 65: "y"}, {"x": "y" * 513}, {"x": 1}, None], ids=repr
)
def test_metadata_is_bounded_as_the_api_bounds_it(metadata: object) -> None:
    part = json.dumps({"metadata": metadata, "created_at": 1}).encode()
    for reading in (read, read_items):
        with pytest.raises(FileRefused):
            reading([part])


@pytest.mark.parametrize(
    "part", [b"", b"null", b"[]", b"\xff", b"[" * 10_000], ids=["empty", "null", "list", "bytes", "deep"]
)
def test_what_is_no_json_object_is_refused(part: bytes) -> None:
    for reading in (read, read_items):
        with pytest.raises(FileRefused):
            reading([part])
