"""Calls of functions are told from what is said, as each family of models writes them, however a reply is cut up."""

import itertools
import json
import re
from collections.abc import Collection, Iterator
from itertools import count

import pytest

from warmturn_server.chat import CALL_FORMATS, FORMATS, PartDelta, Reasoning, Style, Text, TextOnly, ToolCall
from warmturn_server.chat.calls.parser import CallParser
from warmturn_server.chat.parts import joined

SCHEMAS = {
    "weather": {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "deep": {"type": "object"}}},
    "mail": {},
}
GIVEN = {"city": "Grüße </x>", "days": 7, "deep": {"a": [1, "}"]}}
JSON = json.dumps(GIVEN, ensure_ascii=False)

# What models write: (format, reply).
WRITTEN = [
    ("hermes", f'<tool_call>\n{{"name": "weather", "arguments": {JSON}}}\n</tool_call>'),
    ("hermes", f'<tool_call>{{"arguments": {JSON}, "name": "weather"}}</tool_call>'),
    ("hermes", f'<tool_call>\n{{"name": "weather", "arguments": {JSON}}}'),
    ("llama", f'{{"name": "weather", "parameters": {JSON}}}'),
    ("llama", f'<|python_tag|>{{"type": "function", "name": "weather", "parameters": {JSON}}}'),
    ("mistral", f"[TOOL_CALLS]weather[ARGS]{JSON}"),
    ("mistral", f"[TOOL_CALLS]weather[CALL_ID]abcdefghi[ARGS]{JSON}"),
    ("mistral-list", f'[TOOL_CALLS][{{"name": "weather", "arguments": {JSON}}}]'),
    ("mistral-list", f'[TOOL_CALLS] [{{"name": "weather", "arguments": {JSON}, "id": "abcdefghi"}}]'),
    (
        "command",
        f'<|START_ACTION|>[\n    {{"tool_call_id": "0", "tool_name": "weather", "parameters": {JSON}}}\n]'
        "<|END_ACTION|>",
    ),
    (
        "command-r",
        f'Action:\n```json\n[\n    {{\n        "tool_name": "weather",\n        "parameters": {JSON}\n    }}\n]```',
    ),
    ("granite", f'<|tool_call|>[{{"name": "weather", "arguments": {JSON}}}]'),
    (
        "deepseek-v3",
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{JSON}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (
        "deepseek-v3.1",
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{JSON}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (
        "kimi-k2",
        f"<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{JSON}<|tool_call_end|><|tool_calls_section_end|>",
    ),
    ("functionary", f"<function=weather>{JSON}</function>"),
    (
        "qwen-coder",
        "<tool_call>\n<function=weather>\n<parameter=city>\nGrüße </x>\n</parameter>\n"
        "<parameter=days>\n7\n</parameter>\n"
        '<parameter=deep>\n{"a": [1, "}"]}\n</parameter>\n</function>\n</tool_call>',
    ),
    (
        "glm",
        "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Grüße </x></arg_value>\n<arg_key>days</arg_key>\n"
        '<arg_value>7</arg_value><arg_key>deep</arg_key><arg_value>{"a": [1, "}"]}</arg_value>\n</tool_call>',
    ),
    (
        "minimax-m2",
        '<minimax:tool_call>\n<invoke name="weather">\n<parameter name="city">Grüße </x></parameter>\n'
        '<parameter name="days">7</parameter>\n<parameter name="deep">{"a": [1, "}"]}</parameter>\n</invoke>\n'
        "</minimax:tool_call>",
    ),
    (
        "deepseek-v3.2",
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="weather">\n'
        '<｜DSML｜parameter name="city" string="true">Grüße </x></｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="days" string="false">7</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="deep" string="false">{"a": [1, "}"]}</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    ),
]
SPECIAL = re.compile(r"(<[|｜](?!DSML)[^<>]+?[|｜]>|\[[A-Z_]+\])")


def parser_of(name: str, *, special: bool = False) -> CallParser:
    form, numbers = CALL_FORMATS[name], count()
    tokens = {*SPECIAL.findall(f"{form.openings}{form.spelled}{form.ending}[CALL_ID]")} if special else ()
    return CallParser(form, tokens, SCHEMAS, TextOnly(), lambda: f"call_{next(numbers)}")


def told(parser: CallParser, reply: str, chars: int, tokens: Collection[str] = ()) -> tuple[PartDelta, ...]:
    deltas = list[PartDelta]()
    for piece, mark in pieces_of(reply, chars, tokens or parser._tokens):
        deltas += parser.feed(piece, mark)
    return joined(deltas + parser.finish())


def pieces_of(reply: str, chars: int, tokens: Collection[str]) -> Iterator[tuple[str, str]]:
    """As an engine tells it: pieces of text, and behind each a mark or none."""
    for piece in SPECIAL.split(reply) if tokens else [reply]:
        if piece in tokens:
            yield "", piece
        else:
            yield from ((piece[start : start + chars], "") for start in range(0, len(piece), chars))


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("chars", [1, 3, 1000])
@pytest.mark.parametrize(("name", "reply"), WRITTEN)
def test_a_call_is_read_however_it_comes(name: str, reply: str, chars: int, special: bool) -> None:
    parts = told(parser_of(name, special=special), reply, chars)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    assert [(call.name, call.given) for call in calls] == [("weather", GIVEN)], parts
    assert [part for part in parts if isinstance(part, Text)] == []
    if "abcdefghi" in reply and name == "mistral":
        assert calls[0].call_id == "abcdefghi", "the model's own, for it will look for it again"


@pytest.mark.parametrize("chars", [1, 7])
@pytest.mark.parametrize(("name", "reply"), [case for case in WRITTEN if case[0] not in ("llama", "command-r")])
def test_what_is_said_before_and_several_calls(name: str, reply: str, chars: int) -> None:
    parts = told(parser_of(name), f"Let me see.\n\n{reply}\n{reply}\n", chars)
    said, *calls = parts
    assert said == Text("Let me see.")
    assert [call.name for call in calls if isinstance(call, ToolCall)] == ["weather", "weather"]
    assert len({call.call_id for call in calls if isinstance(call, ToolCall)}) == 2


NO_CALLS = [
    "fine",
    "<tool_call> is how a call begins",
    '<tool_call>\n{"name": "unheard", "arguments": {}}\n</tool_call>',
    '<tool_call>\n{"nam',
    "<tool_call>\n[1, 2]\n</tool_call>",
    "1 < 2 <tool",
    "\n \n",
    "",
    "<tool_call>" + 500 * "word ",
]


@pytest.mark.parametrize("chars", [1, 7, 1000])
@pytest.mark.parametrize(("name", "reply"), [*itertools.product(("hermes", "qwen-coder", "glm"), NO_CALLS)])
def test_what_is_no_call_is_said_as_it_was_written(name: str, reply: str, chars: int) -> None:
    said = (Text(reply),) if reply else ()
    assert told(parser_of(name), reply, chars) == said


@pytest.mark.parametrize("chars", [1, 7, 1000])
@pytest.mark.parametrize(
    "reply", ['{"answer": 42}', "[1]", '{"name": "unheard", "parameters": {}}', '{"name": "wea', "{"]
)
def test_json_that_calls_nothing_is_said(reply: str, chars: int) -> None:
    assert told(parser_of("llama"), reply, chars) == (Text(reply),)


def test_a_call_behind_one_that_is_none() -> None:
    spoken = "A call begins with <tool_call> and ends.\n"
    said, call = told(parser_of("hermes"), spoken + WRITTEN[0][1], 1)
    assert said == Text(spoken.rstrip())
    assert isinstance(call, ToolCall)
    assert call.given == GIVEN


@pytest.mark.parametrize("chars", [1, 5, 1000])
@pytest.mark.parametrize(
    ("name", "reply", "arguments"),
    [
        ("hermes", '<tool_call>\n{"name": "mail", "arguments": {"a": [1, 2', '{"a": [1, 2'),
        ("hermes", '<tool_call>\n{"name": "mail", "arguments": {"a": \'b\'}}\n</tool_call>', None),
        ("mistral", '[TOOL_CALLS]mail[ARGS]{"a": "b', '{"a": "b'),
        ("qwen-coder", "<tool_call>\n<function=mail>\n<parameter=a>\nb\n</parameter>\n<parameter=c>\n", '{"a": "b"'),
    ],
)
def test_what_is_half_a_call_has_its_arguments_as_far_as_they_came(
    name: str, reply: str, arguments: str | None, chars: int
) -> None:
    (call,) = told(parser_of(name), reply, chars)
    assert isinstance(call, ToolCall)
    assert (call.name, call.given) == ("mail", None)
    assert call.arguments == arguments if arguments else "'b'" in call.arguments and "</tool" not in call.arguments


def test_arguments_come_as_they_are_written() -> None:
    parser = parser_of("hermes")
    pieces = [part for character in WRITTEN[0][1] for part in parser.feed(character)]
    assert len(pieces) > len(JSON) // 2


@pytest.mark.parametrize(
    "header",
    [" to=functions.weather<|channel|>commentary json", "<|channel|>commentary to=functions.weather <|constrain|>json"],
)
def test_channels_part_what_is_thought_said_and_called(header: str) -> None:
    style = Style(FORMATS["harmony"], frozenset(FORMATS["harmony"].all_marks))
    begins = "<|end|><|start|>assistant"
    said = f"<|channel|>analysis<|message|>hm{begins}<|channel|>commentary<|message|>I look."
    reply = f"{said}{begins}{header}<|message|>{JSON}"
    inner = style.parser("<|start|>assistant", tells_calls=True)
    parser = CallParser(CALL_FORMATS["harmony"], style.tokens, SCHEMAS, inner, lambda: "call_0")
    thought, answer, call = told(parser, reply, 3, style.tokens)
    assert (thought, answer) == (Reasoning("hm"), Text("I look."))
    assert isinstance(call, ToolCall)
    assert (call.name, call.given) == ("weather", GIVEN)


def test_a_thought_ends_where_a_call_begins() -> None:
    style = Style(FORMATS["think"])
    form = CALL_FORMATS["kimi-k2"]
    tokens = {*SPECIAL.findall(f"{form.openings}{form.spelled}{form.ending}")}
    parser = CallParser(form, tokens, SCHEMAS, style.parser(), lambda: "call_0")
    reply = next(reply for name, reply in WRITTEN if name == "kimi-k2")
    thought, call = told(parser, f"<think>hm{reply}", 2)
    assert thought == Reasoning("hm")
    assert isinstance(call, ToolCall)
