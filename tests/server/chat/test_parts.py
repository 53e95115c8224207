"""What an item is made of: in the log as ever where it is text, for a template as templates name it."""

import json
from dataclasses import replace

import pytest
from tests.server.chat.driver import Chat
from tests.server.chat.making import append, conversation, turn

from warmturn_server.chat import Item, ItemId, Part, Reasoning, Role, Text, ToolCall, ToolResult
from warmturn_server.chat.model import item_content, items_from
from warmturn_server.chat.parts import PartDelta, joined
from warmturn_server.chat.storage.redis.values import turn_content, turn_of

CALL = ToolCall("call_1", "weather", '{"city": "Köln"}')
CONTENTS: dict[str, tuple[Part, ...]] = {
    "nothing": (),
    "text": (Text("hello"),),
    "texts": (Text("Grüße"), Text(""), Text('{"type": "reasoning"}')),
    "reasoning": (Reasoning("hm"), Text("fine")),
    "call": (Text(""), CALL, replace(CALL, call_id="call_2")),
    "result": (ToolResult("call_1", '{"degrees": 3}'),),
}


def item(*content: Part, role: Role = "assistant") -> Item:
    return Item(ItemId("msg_1"), role, content)


def test_text_is_written_as_it_always_was() -> None:
    written = '[{"id": "msg_1", "role": "user", "parts": ["hello", "a \\"cat\\""], "complete": true}]'
    said = item(Text("hello"), Text('a "cat"'), role="user")
    assert json.dumps([item_content(said)]) == written
    assert items_from(json.loads(written)) == (said,)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_every_kind_comes_back(content: tuple[Part, ...]) -> None:
    said = item(*content)
    assert items_from(json.loads(json.dumps([item_content(said)]))) == (said,)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_every_log_keeps_every_kind(chat: Chat, content: tuple[Part, ...]) -> None:
    said = replace(turn("resp_1", conversation="conv_1"), output=(item(*content),))
    chat.store.create(conversation("conv_1"), append(said))
    assert chat.store.turn("", said.id) == said
    sent = json.loads(json.dumps(turn_content(said)))
    assert turn_of(sent, "", stored=True, in_conversation=True) == said


def test_a_message_has_the_text_in_lines_and_a_developer_is_the_system() -> None:
    assert item(Text("be"), Text("kind"), role="developer").as_message() == {"role": "system", "content": "be\nkind"}
    assert list(item(Text("hi")).as_message()) == ["role", "content"]


def test_a_message_has_what_else_there_is_under_the_names_that_templates_use() -> None:
    said = item(Reasoning("hm, "), Reasoning("well"), Text("I look."), CALL)
    function = {"name": "weather", "arguments": {"city": "Köln"}}
    assert said.as_message() == {
        "role": "assistant",
        "content": "I look.",
        "reasoning_content": "hm, well",
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    answered = item(ToolResult("call_1", "3"), role="tool").as_message()
    assert answered == {"role": "tool", "content": "3", "tool_call_id": "call_1"}
    assert (said.text, item(ToolResult("call_1", "3")).text) == ("I look.", "")


def test_pieces_become_one_text_one_reasoning_and_every_call() -> None:
    pieces: list[PartDelta] = [Reasoning("h"), Text("fi"), Reasoning("m"), Text("ne")]
    pieces += [ToolCall("1", "a", "{"), ToolCall("2", "b", "{}"), ToolCall("1", "a", "}")]
    assert joined(pieces) == (Reasoning("hm"), Text("fine"), ToolCall("1", "a", "{}"), ToolCall("2", "b", "{}"))
    assert joined([]) == ()
