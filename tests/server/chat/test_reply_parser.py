"""Between what a model writes and what is shown of it."""

from pathlib import Path

import pytest
from tests.server.chat.driver import Chat
from tests.server.chat.thinking_parser import ThinkingParser
from tests.support.models import IM_END

from warmturn_server.chat import NewReplyParser, Part, PartDelta, Reasoning, Text, TextOnly
from warmturn_server.chat.parts import joined

PARSERS: dict[str, NewReplyParser] = {"text only": TextOnly, "thinking": ThinkingParser}
SAID = ["fine", "", "1 < 2 <th", "</think> is no beginning", "\n \n", "Grüße, 日本 👩‍👩‍👧"]


def parsed(new_parser: NewReplyParser, text: str, chars: int) -> tuple[Part, ...]:
    parser = new_parser()
    deltas = list[PartDelta]()
    for start in range(0, len(text), chars):
        deltas += parser.feed(text[start : start + chars])
    return joined(deltas + parser.finish())


@pytest.mark.parametrize("new_parser", PARSERS.values(), ids=PARSERS)
@pytest.mark.parametrize("text", SAID)
def test_nothing_that_is_said_gets_lost_however_it_comes(new_parser: NewReplyParser, text: str) -> None:
    for chars in (1, 2, 7, 100):
        assert parsed(new_parser, text, chars) == ((Text(text),) if text else ())


@pytest.mark.parametrize("chars", [1, 3, 100])
def test_what_is_thought_is_told_from_what_is_said(chars: int) -> None:
    assert parsed(ThinkingParser, "<think>hm</think>fine", chars) == (Reasoning("hm"), Text("fine"))
    assert parsed(ThinkingParser, "<think>hm </thi", chars) == (Reasoning("hm </thi"),)
    assert parsed(TextOnly, "<think>hm</think>fine", chars) == (Text("<think>hm</think>fine"),)


@pytest.mark.parametrize(
    ("new_parser", "written", "content"),
    [
        (TextOnly, "<think>hm</think>fine", (Text("<think>hm</think>fine"),)),
        (ThinkingParser, "<think>hm</think>fine", (Reasoning("hm"), Text("fine"))),
        (ThinkingParser, "a<think>hm</think>b", (Text("ab"), Reasoning("hm"))),
        (ThinkingParser, "<think>hm</thi", (Reasoning("hm</thi"), Text(""))),
        (TextOnly, "", (Text(""),)),
    ],
)
async def test_the_answer_is_made_of_its_parts(
    tmp_path: Path, new_parser: NewReplyParser, written: str, content: tuple[Part, ...]
) -> None:
    chat = Chat(tmp_path, new_parser=new_parser)
    said = await chat.say("who?", [*chat.tokenizer.encode(written).token_ids, IM_END])
    (answer,) = said.output
    assert answer.content == content
    assert (await chat.service.response("", said.id)).output == (answer,)
    chat.service.close()


async def test_a_next_turn_goes_on_from_what_was_thought(tmp_path: Path) -> None:
    chat = Chat(tmp_path, new_parser=ThinkingParser)
    made = await chat.new()
    thought = [*chat.tokenizer.encode("<think>hm</think>fine").token_ids, IM_END]
    await chat.say("who?", thought, conversation_id=made.id)
    await chat.say("where?", conversation_id=made.id)
    assert "<|im_start|>assistant\nfine<|im_end|>" in chat.prompt
    chat.service.close()
