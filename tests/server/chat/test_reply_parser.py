"""Between what a model writes and what is shown of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.chat.driver import Chat
from tests.support.models import IM_END

from warmturn_server.chat import FORMATS, Part, PartDelta, Reasoning, ReplyParser, Style, Text, TextOnly
from warmturn_server.chat.parts import joined

THINK = Style(FORMATS["think"])
SPECIAL = {
    name: Style(form, frozenset(mark for mark in form.all_marks if mark.startswith("<")), "", "")
    for name, form in FORMATS.items()
}
"""As models have them: marks that look like tokens are tokens."""
SAID = [
    "fine",
    "",
    "1 < 2 <th",
    "</think> is no beginning",
    "\n \n",
    "Grüße, 日本 👩‍👩‍👧",
    "say <think>, then </think>",
]


def tokens_of(style: Style, text: str, chars: int) -> Iterator[tuple[str, str]]:
    """As an engine tells it: pieces of text, and behind each a mark or none."""
    marks = "|".join(re.escape(mark) for mark in style.tokens) or "(?!)"
    for piece in re.split(f"({marks})", text):
        if piece in style.tokens:
            yield "", piece
        else:
            yield from ((piece[start : start + chars], "") for start in range(0, len(piece), chars))


def parsed(parser: ReplyParser, style: Style, text: str, chars: int) -> tuple[Part, ...]:
    deltas = list[PartDelta]()
    for piece, mark in tokens_of(style, text, chars):
        deltas += parser.feed(piece, mark)
    return joined(deltas + parser.finish())


@pytest.mark.parametrize("chars", [1, 2, 7, 100])
@pytest.mark.parametrize("text", SAID)
def test_nothing_that_is_said_gets_lost_however_it_comes(text: str, chars: int) -> None:
    for parser in (TextOnly(), THINK.parser()):
        assert parsed(parser, THINK, text, chars) == ((Text(text),) if text else ())


# What models write, behind their prompt's end: (format, prompt's end, reply).
WRITTEN = [
    ("think", "", "<think>\nhm\n</think>\n\nfine"),
    ("think", "", "\n<think>hm</think>fine"),
    ("think", "<|im_start|>assistant\n<think>\n", "hm\n</think>\n\nfine"),
    ("think", "<|im_start|>assistant\n<think>", "hm</think>\nfine"),
    ("think", "<think>\n\n</think>\n\n", "<think>hm</think>fine"),
    ("seed", "", "<seed:think>hm</seed:think>\nfine"),
    ("minimax", "", "<mm:think>hm</mm:think>fine"),
    ("hunyuan", "<think:opensource>", "hm</think:opensource>fine"),
    ("mistral", "", "[THINK]hm[/THINK]fine"),
    ("granite", "", "<think>hm</think><response>fine</response>"),
    ("apriel", "<|begin_assistant|>\nHere are my reasoning steps:\n", "hm\n[BEGIN FINAL RESPONSE]\nfine"),
    ("apertus", "<|assistant_start|>", "<|inner_prefix|>hm<|inner_suffix|>fine"),
    ("gemma", "<|turn>model\n", "<|channel>thought\nhm\n<channel|>fine"),
    ("command", "", "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>fine<|END_RESPONSE|>"),
    ("command", "<|CHATBOT_TOKEN|><|START_THINKING|>", "hm<|END_THINKING|><|START_TEXT|>fine<|END_TEXT|>"),
    (
        "harmony",
        "<|end|><|start|>assistant",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>fine<|return|>",
    ),
    ("muse", "<|start|>assistant", " to=self<|message|>hm<|eom|><|start|>assistant to=user<|message|>fine<|eot|>"),
    (
        "kimi",
        '<|open|>message role="assistant"<|sep|><|open|>think<|sep|>',
        "hm<|close|>think<|sep|><|open|>response<|sep|>fine<|close|>response<|sep|><|close|>message<|sep|>",
    ),
    ("solar", "<|begin|>assistant", "<|think|>hm<|end|><|begin|>assistant<|content|>fine<|end|>"),
]


@pytest.mark.parametrize("chars", [1, 3, 100])
@pytest.mark.parametrize(("name", "prompt_end", "written"), WRITTEN)
def test_what_is_thought_is_told_from_what_is_said(name: str, prompt_end: str, written: str, chars: int) -> None:
    for style in (Style(FORMATS[name]), Style(FORMATS[name], SPECIAL[name].tokens)):
        found = parsed(style.parser(prompt_end), style, written, chars)
        assert found == (Reasoning("hm"), Text("fine"))


def test_every_format_has_an_example() -> None:
    assert {name for name, _, _ in WRITTEN} == set(FORMATS)


@pytest.mark.parametrize(("name", "prompt_end", "written"), WRITTEN)
def test_a_thought_that_is_cut_is_a_thought(name: str, prompt_end: str, written: str) -> None:
    style = SPECIAL[name]
    cut = written[: written.index("hm") + 1]
    parser = style.parser(prompt_end)
    assert parsed(parser, style, cut, 1) in [(Reasoning("h"),), (Reasoning("\nh"),)]
    assert parser.thinks


def test_lines_that_the_template_writes_itself_are_no_part_of_a_thought() -> None:
    """What it does not write is: or the model's own words would come back to it otherwise than it wrote them."""
    for opening, closing, thought in (("\n", "\n", "hm"), ("", "", "\nhm\n"), ("\n", "", "hm\n"), (None, None, "hm")):
        style = Style(FORMATS["think"], opening=opening, closing=closing)
        found = parsed(style.parser(), style, "<think>\nhm\n</think>\n\nfine", 1)
        assert found == (Reasoning(thought), Text("fine")), (opening, closing)


def test_marks_that_are_tokens_are_text_where_they_are_spelled_out() -> None:
    style = SPECIAL["apertus"]
    parser = style.parser()
    parts = [*parser.feed("<|inner_prefix|>"), *parser.feed("hm", ""), *parser.finish()]
    assert joined(parts) == (Text("<|inner_prefix|>hm"),)


def test_an_empty_thought_is_none() -> None:
    assert parsed(THINK.parser(), THINK, "<think>\n\n</think>\n\nfine", 2) == (Text("fine"),)


@pytest.mark.parametrize(
    ("style", "written", "content", "thought_tokens"),
    [
        (None, "<think>hm</think>fine", (Text("<think>hm</think>fine"),), 0),
        (THINK, "<think>hm</think>fine", (Reasoning("hm"), Text("fine")), 4),
        (THINK, "a<think>hm</think>b", (Text("a<think>hm</think>b"),), 0),
        (THINK, "<think>hm</thi", (Reasoning("hm</thi"), Text("")), 7),
        (None, "", (Text(""),), 0),
    ],
)
async def test_the_answer_is_made_of_its_parts(
    tmp_path: Path, style: Style | None, written: str, content: tuple[Part, ...], thought_tokens: int
) -> None:
    chat = Chat(tmp_path, style=style)
    said = await chat.say("who?", [*chat.tokenizer.encode(written).token_ids, IM_END])
    (answer,) = said.output
    assert answer.content == content
    later = await chat.service.response("", said.id)
    assert later.output == (answer,)
    assert later.reply is not None
    assert later.reply.reasoning_tokens == thought_tokens
    chat.service.close()


async def test_a_next_turn_goes_on_from_what_was_thought(tmp_path: Path) -> None:
    chat = Chat(tmp_path, style=THINK)
    made = await chat.new()
    thought = [*chat.tokenizer.encode("<think>hm</think>fine").token_ids, IM_END]
    await chat.say("who?", thought, conversation_id=made.id)
    await chat.say("where?", conversation_id=made.id)
    assert "<|im_start|>assistant\nfine<|im_end|>" in chat.prompt
    chat.service.close()
