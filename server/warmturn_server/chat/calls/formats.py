"""How families of models write that they call a function: a table, a line a family."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_NAME: Final = r"(?P<name>[A-Za-z0-9_.-]+)"
_IN_JSON: Final = (
    r'\{\s*(?:"(?:type|tool_call_id)"\s*:\s*"[^"]*"\s*,\s*)?"(?:name|tool_name|function)"\s*:\s*"'
    + _NAME
    + r'"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)'
)
_OUT_OF_JSON: Final = r'(?:,\s*"id"\s*:\s*"(?P<id>[^"]*)"\s*)?\}'


@dataclass(frozen=True, slots=True)
class CallFormat:
    """Behind `opening` come calls, each of a `head`, its arguments and a `tail`; `ending` ends them.

    `head`, `tail`, `pair`: regular expressions. A head names the function; one of a JSON object ends where the
    object of the arguments begins. `pair`: an argument's name (`key`) and `value`, where arguments are no JSON; with
    `is_text` "false" the value is JSON, else the function's schema tells. `spelled`: how all of it is written, for
    replies that have to be calls: see `forced.py`. `in_list`: the objects stand in a JSON list. `only_first`: only what
    a reply begins with is a call. `repeats`: another call has an opening of its own. `in_channel`: what
    is called has a channel of its own, which is told apart from what is thought and said. `signs`: in the prompt of a
    template that does not write calls itself.
    """

    name: str
    openings: tuple[str, ...]
    spelled: tuple[str, str, str]
    """Of a call: what stands before the function's name, between name and arguments, and behind the arguments."""
    head: re.Pattern[str]
    tail: re.Pattern[str] = re.compile("")
    ending: str = ""
    pair: re.Pattern[str] | None = None
    spelled_pair: tuple[str, str, str] = ("", "", "")
    is_json: bool = False
    in_list: bool = False
    only_first: bool = False
    repeats: bool = False
    in_channel: bool = False
    signs: tuple[str, ...] = ()

    @property
    def opening(self) -> str:
        return self.openings[0]

    def write(self, calls: Iterable[Mapping[str, Any]]) -> str:
        """Calls as templates are given them."""
        before, between, behind = self.spelled
        written = [
            f"{before}{call['function']['name']}{between}"
            f"{json.dumps(call['function']['arguments'], ensure_ascii=False)}{behind}"
            for call in calls
        ]
        listed = f"[{', '.join(written)}]" if self.in_list else "".join(written)
        return f"{self.opening}{listed}{self.ending}"

    def has_mark(self, mark: str) -> bool:
        """Whether this is one of the marks that its calls are written with."""
        written = (*self.openings, *self.spelled, *self.spelled_pair, self.ending)
        return any(mark in text for text in written) or re.escape(mark) in self.head.pattern


def _json(
    name: str,
    openings: str | tuple[str, ...],
    ending: str = "",
    *,
    line: str = "",
    keys: tuple[str, str] = ("name", "arguments"),
    **more: object,
) -> CallFormat:
    """JSON objects. `line`: what stands between marks and objects."""
    before, between = f'{line}{{"{keys[0]}": "', f'", "{keys[1]}": '
    return CallFormat(
        name,
        (openings,) if isinstance(openings, str) else openings,
        (before, between, "}" if more.get("in_list") else f"}}{line}"),
        re.compile(_IN_JSON),
        re.compile(_OUT_OF_JSON),
        ending,
        is_json=True,
        **more,  # type: ignore[arg-type]
    )


def _headed(
    name: str, opening: str, head: str, spelled: tuple[str, str, str], tail: str = "", ending: str = ""
) -> CallFormat:
    """A name in marks, then the JSON of the arguments."""
    return CallFormat(name, (opening,), spelled, re.compile(head), re.compile(tail), ending, repeats=not ending)


def _tagged(
    name: str,
    opening: str,
    head: str,
    pair: str,
    tail: str,
    ending: str,
    spelled: tuple[str, str, str],
    spelled_pair: tuple[str, str, str],
) -> CallFormat:
    """Each argument in tags of its own."""
    return CallFormat(
        name,
        (opening,),
        spelled,
        re.compile(head),
        re.compile(tail),
        ending,
        re.compile(pair, re.DOTALL),
        spelled_pair,
    )


_FUNCTION: Final = rf"<function={_NAME}>"
_PARAMETER: Final = r"<parameter=(?P<key>[^>]+)>\n?(?P<value>.*?)\n?</parameter>"
_INVOKE: Final = rf'<invoke name="{_NAME}">'
_DSML: Final = "｜DSML｜"


def _qwen_coder(name: str, mark: str) -> CallFormat:
    form = _tagged(
        name,
        f"<{mark}>",
        _FUNCTION,
        _PARAMETER,
        r"</function>",
        f"</{mark}>",
        ("\n<function=", ">\n", "</function>\n"),
        ("<parameter=", ">\n", "\n</parameter>\n"),
    )
    return replace(form, repeats=True)


def _pairs(more: str = "") -> tuple[str, tuple[str, str, str]]:
    """GLM's: a tag for an argument's name, and one for its value."""
    key, value = f"arg_key{more}", f"arg_value{more}"
    pair = rf"<{key}>(?P<key>.*?)</{key}>\s*<{value}>(?P<value>.*?)</{value}>"
    return pair, (f"<{key}>", f"</{key}>\n<{value}>", f"</{value}>\n")


def _dsml(name: str, section: str) -> CallFormat:
    return _tagged(
        name,
        f"<{_DSML}{section}>",
        rf'<{_DSML}invoke name="{_NAME}">',
        rf'<{_DSML}parameter name="(?P<key>[^"]+)" string="(?P<is_text>true|false)">(?P<value>.*?)</{_DSML}parameter>',
        rf"</{_DSML}invoke>",
        f"</{_DSML}{section}>",
        (f'\n<{_DSML}invoke name="', '">\n', f"</{_DSML}invoke>\n"),
        (f'<{_DSML}parameter name="', '" string="false">', f"</{_DSML}parameter>\n"),
    )


_GLM: Final = replace(
    _tagged(
        "glm",
        "<tool_call>",
        rf"{_NAME}(?=\s*<)",
        _pairs()[0],
        "",
        "</tool_call>",
        ("", "\n", ""),
        _pairs()[1],
    ),
    repeats=True,
)
_DEEPSEEK: Final = ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")
_OF_DEEPSEEK: Final = ("<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>")

_ALL: Final = (
    replace(
        _headed(
            "harmony",
            "<|start|>assistant",
            r"(?:<\|start\|>assistant)?[^{]{0,128}?to=functions\." + _NAME + r"[^{]{0,128}?<\|message\|>",
            ("<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", ""),
        ),
        in_channel=True,
    ),
    _headed(
        "deepseek-v3",
        _DEEPSEEK[0],
        rf"{_OF_DEEPSEEK[0]}function{_OF_DEEPSEEK[1]}{_NAME}\n```json\n",
        (f"{_OF_DEEPSEEK[0]}function{_OF_DEEPSEEK[1]}", "\n```json\n", f"\n```{_OF_DEEPSEEK[2]}"),
        rf"```\s*{_OF_DEEPSEEK[2]}",
        _DEEPSEEK[1],
    ),
    _headed(
        "deepseek-v3.1",
        _DEEPSEEK[0],
        rf"{_OF_DEEPSEEK[0]}{_NAME}{_OF_DEEPSEEK[1]}",
        (_OF_DEEPSEEK[0], _OF_DEEPSEEK[1], _OF_DEEPSEEK[2]),
        _OF_DEEPSEEK[2],
        _DEEPSEEK[1],
    ),
    _dsml("deepseek-v3.2", "function_calls"),
    _dsml("deepseek-v4", "tool_calls"),
    _headed(
        "kimi-k2",
        "<|tool_calls_section_begin|>",
        rf"<\|tool_call_begin\|>\s*(?:functions\.)?{_NAME}(?::\d+)?\s*<\|tool_call_argument_begin\|>",
        ("<|tool_call_begin|>functions.", ":0<|tool_call_argument_begin|>", "<|tool_call_end|>"),
        r"<\|tool_call_end\|>",
        "<|tool_calls_section_end|>",
    ),
    _headed(
        "mistral",
        "[TOOL_CALLS]",
        rf"{_NAME}(?:\[CALL_ID\](?P<id>[A-Za-z0-9]+))?\[ARGS\]",
        ("", "[ARGS]", ""),
    ),
    _json("mistral-list", "[TOOL_CALLS]", in_list=True),
    _json(
        "command", "<|START_ACTION|>", "<|END_ACTION|>", keys=("tool_name", "parameters"), in_list=True, line="\n    "
    ),
    _json("command-r", "Action:\n```json", "```", keys=("tool_name", "parameters"), in_list=True, line="\n"),
    _json("granite", "<|tool_call|>", in_list=True, signs=("<|tool_call|>",)),
    _json("nemotron-v2", "<TOOLCALL>", "</TOOLCALL>", in_list=True),
    _json("minimax-m1", "<tool_calls>", "</tool_calls>", line="\n"),
    _json("apriel", "<tool_calls>", "</tool_calls>", in_list=True),
    _json("gigachat", "<|function_call|>"),
    CallFormat(
        "apertus",
        ("<|tools_prefix|>",),
        ('{"', '": ', "}"),
        re.compile(r'\{\s*"' + _NAME + r'"\s*:\s*(?=\{)'),
        re.compile(r"\}"),
        "<|tools_suffix|>",
        in_list=True,
    ),
    _headed(
        "solar",
        "<|tool_calls|>",
        rf"<\|tool_call:begin\|>(?P<id>[^<|]*)<\|tool_call:name\|>{_NAME}<\|tool_call:args\|>",
        ("<|tool_call:begin|>0<|tool_call:name|>", "<|tool_call:args|>", "<|tool_call:end|>"),
        r"<\|tool_call:end\|>",
        "<|calls|>",
    ),
    _qwen_coder("qwen-coder", "tool_call"),
    _qwen_coder("seed", "seed:tool_call"),
    _GLM,
    _tagged(
        "hunyuan",
        "<tool_calls:opensource>",
        rf"<tool_call:opensource>{_NAME}<tool_sep:opensource>",
        _pairs(":opensource")[0],
        "</tool_call:opensource>",
        "</tool_calls:opensource>",
        ("\n<tool_call:opensource>", "<tool_sep:opensource>\n", "</tool_call:opensource>\n"),
        _pairs(":opensource")[1],
    ),
    _tagged(
        "minimax-m2",
        "<minimax:tool_call>",
        _INVOKE,
        r'<parameter name="(?P<key>[^"]+)">(?P<value>.*?)</parameter>',
        r"</invoke>",
        "</minimax:tool_call>",
        ('\n<invoke name="', '">\n', "</invoke>\n"),
        ('<parameter name="', '">', "</parameter>\n"),
    ),
    _tagged(
        "muse",
        "<atem:function_calls>",
        rf'<atem:invoke name="{_NAME}">',
        r'<atem:parameter name="(?P<key>[^"]+)">(?P<value>.*?)</atem:parameter>',
        r"</atem:invoke>",
        "</atem:function_calls>",
        ('\n<atem:invoke name="', '">\n', "</atem:invoke>\n"),
        ('<atem:parameter name="', '">', "</atem:parameter>\n"),
    ),
    replace(
        _tagged(
            "minicpm",
            '<function name="',
            rf'{_NAME}">',
            r'<param name="(?P<key>[^"]+)">(?P<value>.*?)</param>',
            r"</function>",
            "",
            ("", '">', "</function>"),
            ('<param name="', '">', "</param>"),
        ),
        repeats=True,
    ),
    _headed("functionary", "<function=", rf"{_NAME}>", ("", ">", "</function>"), r"</function>"),
    _json(
        "hermes",
        "<tool_call>",
        "</tool_call>",
        line="\n",
        repeats=True,
        signs=("<tool_call>", "</tool_call>", '"name"', '"arguments"'),
    ),
    _json("llama", ("", "<|python_tag|>"), only_first=True, keys=("name", "parameters")),
)

FORMATS: Final[Mapping[str, CallFormat]] = {form.name: form for form in _ALL}
"""By name; the first that reads what a model's template writes is the model's. `hermes`: Qwen 2.5 and 3, Hermes,
Granite 4; `mistral`: from Mistral-Small-3.2 on, before that a list; `qwen-coder`: Qwen3-Coder, Qwen3.5, Nemotron-3,
Step; `glm`: GLM, Ling, Laguna, Spark; `granite`: Granite 3; `harmony`: gpt-oss."""
