"""The model's own chat template: from messages to the text of a prompt, and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import jinja2
from transformers import PreTrainedTokenizerBase

from ...errors import InvalidRequest, ModelRefused
from ..model import ChatMessage, PromptEnd, TemplateOptions, Tool
from .control_names import ControlNames, Written
from .tool_messages import (
    SAMPLE_ARGUMENTS,
    SAMPLE_FUNCTION,
    SAMPLE_TOOL,
    CallStyle,
    Spell,
    sample_calls,
    sample_results,
)
from .unused_character import unused_character

OPTIONS: Final = frozenset(
    {
        "add_thoughts",
        "clear_thinking",
        "drop_thinking",
        "enable_thinking",
        "keep_past_thinking",
        "preserve_thinking",
        "preserved_thinking",
        "reasoning_effort",
        "reasoning_strength",
        "skip_thinking",
        "think_render_option",
        "thinking",
        "thinking_budget",
        "thinking_effort",
        "thinking_mode",
        "thinking_option",
        "truncate_history_thinking",
    }
)
"""What a request may set of a template, if the template asks for it: all about thinking, nothing with text in it."""

_SWITCHES: Final = ("enable_thinking", "thinking")
_OFF: Final[TemplateOptions] = {
    **dict.fromkeys(_SWITCHES, False),
    "thinking_budget": 0,
    "thinking_mode": "disabled",
}
_EFFORTS: Final = ("reasoning_effort", "reasoning_strength", "thinking_effort")
_LEVELS: Final = ("minimal", "low", "medium", "high", "xhigh", "max")
_NO_LEVELS: Final = ("none", "no_think")
_BLOCKS: Final = "content"
_FIELDS: Final = ("reasoning_content", "thinking", "reasoning", "thought", _BLOCKS)
"""Where templates look for what an earlier reply thought; the last: in a part of its content."""
SAMPLE_THOUGHT: Final = "Thought0"
_A_LIST: Final = "'thinking'"
"""In what a template writes that takes content for a text, whatever it is."""
_ASKED: Final = ChatMessage(role="user", content="Question0")
_ANSWERED: Final = ChatMessage(role="assistant", content="Answer0", reasoning_content=SAMPLE_THOUGHT)
_SHAPES: Final[Mapping[str, list[ChatMessage]]] = {
    "one turn": [_ASKED],
    "a second turn": [_ASKED, ChatMessage(role="assistant", content="Answer0"), _ASKED],
    "system": [ChatMessage(role="system", content="System0"), _ASKED],
}


class ChatTemplate:
    def __init__(self, tokenizer: PreTrainedTokenizerBase, names: ControlNames) -> None:
        """`names`: of control tokens. Where people write one it is not the token."""
        self._tokenizer = tokenizer
        self._names = names
        try:
            self.source = str(tokenizer.get_chat_template())
        except ValueError as error:
            raise ModelRefused(f"The model's chat template cannot be told: {error}") from error
        self.options = OPTIONS & set(_variables(self.source))
        """The names of `OPTIONS` that it looks at."""
        self._efforts = dict[str, TemplateOptions]()
        self.calls = CallStyle()
        self._field = _FIELDS[0]
        self._field = next((name for name in _FIELDS if self._writes_thought_of(name)), _FIELDS[0])
        self.knows_tools, self.tools_refused = self._knows_tools()
        """Whether functions can be offered with it; if it raises, what it says to that."""
        self.calls = next((style for style in _call_styles() if self._writes_calls(style)), CallStyle())
        """How it takes calls."""
        self.writes_calls = self._writes_calls(self.calls)

    def render(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool] = (),
        prompt_end: PromptEnd = "new_reply",
        options: TemplateOptions | None = None,
    ) -> Written:
        """The whole prompt; a template that refuses the messages makes this the caller's mistake."""
        if prompt_end != "last_message":
            return self._rendered(messages, tools, options or {}, begins_reply=prompt_end == "new_reply")
        *before, last = messages
        mark = unused_character(message["content"] for message in messages)
        marked = ChatMessage(**{**last, "content": last["content"] + mark})
        whole = self._rendered([*before, marked], tools, options or {}, begins_reply=False)
        end = whole.text.rfind(mark)
        if end < 0:
            raise InvalidRequest(
                "The model's chat template does not write this message as it is, so that nothing can go on from it.",
                code="chat_template",
                param="continue_final_message",
            )
        return whole.until(end)

    def effort(self, effort: str) -> TemplateOptions:
        """How it is asked to think so much, or about as much where it knows no such word; empty where it cannot be."""
        if effort not in self._efforts:
            self._efforts[effort] = self._find_effort(effort)
        return self._efforts[effort]

    def _find_effort(self, effort: str) -> TemplateOptions:
        """By trying each word that may do."""
        off = _OFF if effort == "none" else dict.fromkeys(_SWITCHES, True)
        asked: TemplateOptions = {name: value for name, value in off.items() if name in self.options}
        for name in self.options.intersection(_EFFORTS):
            ways: list[TemplateOptions] = [{**asked, name: word} for word in _words_for(effort)]
            asked = next((way for way in ways if self._tried([_ASKED], way) is not None), asked)
        return asked

    def samples(self) -> Iterator[str]:
        """What it writes of a thought, and what it opens a reply with, in each way that it can be asked."""
        for asked in ({}, *({name: True} for name in _SWITCHES)):
            for messages in ([_ASKED, _ANSWERED], [_ASKED]):
                if (text := self._tried(messages, asked)) is not None:
                    yield text

    def spell_calls(self, spell: Spell) -> None:
        """For a template that says nothing of calls: they are said as the model writes them."""
        self.calls = replace(self.calls, spelled=spell)

    def call_samples(self) -> tuple[str, str, str]:
        """What it writes when functions are offered, when one was called, and when its result is there; empty where it
        does not take that."""
        asked, called, told = [_ASKED], [_ASKED, sample_calls()], [_ASKED, sample_calls(), *sample_results()]
        tools = [SAMPLE_TOOL]
        prompt, call, result = (
            self._tried(messages, {}, tools, begins_reply=begins)
            for messages, begins in ((asked, True), (called, False), (told, True))
        )
        return prompt or "", call or "", result or ""

    @property
    def rewrites(self) -> bool:
        """Whether it says something else of a reply, once the user has answered, than what the model wrote."""
        before, after = self._tried([_ASKED], {}), self._tried([_ASKED, _ANSWERED, _ASKED], {})
        return before is not None and after is not None and not after.startswith(before + _ANSWERED["content"])

    def refusals(self) -> dict[str, str]:
        """What it does not take, and what it says to that."""
        found = dict[str, str]()
        for shape, messages in _SHAPES.items():
            try:
                self.render(messages)
            except InvalidRequest as error:
                found[shape] = str(error)
        if self.tools_refused:
            found["tools"] = self.tools_refused
        return found

    def _knows_tools(self) -> tuple[bool, str]:
        try:
            return SAMPLE_FUNCTION in self._rendered([_ASKED], [SAMPLE_TOOL], {}, begins_reply=True).text, ""
        except InvalidRequest as error:
            return False, str(error)

    def _writes_calls(self, style: CallStyle) -> bool:
        """Both of two calls, and each argument once."""
        self.calls = style
        told = [_ASKED, sample_calls(2), *sample_results(2)]
        text = self._tried(told, {}, [SAMPLE_TOOL], begins_reply=True) or ""
        offered = self._tried([_ASKED], {}, [SAMPLE_TOOL], begins_reply=True) or ""
        value = str(SAMPLE_ARGUMENTS["argument0"])
        values = text.count(value) - offered.count(value)
        is_json = f"'argument0': '{value}'" not in text and f'\\": \\"{value}' not in text
        return values == 2 and is_json

    def _writes_thought_of(self, field: str) -> bool:
        self._field = field
        return any(SAMPLE_THOUGHT in text and _A_LIST not in text for text in self.samples())

    def _tried(
        self,
        messages: list[ChatMessage],
        options: TemplateOptions,
        tools: Sequence[Tool] = (),
        *,
        begins_reply: bool | None = None,
    ) -> str | None:
        begins = len(messages) == 1 if begins_reply is None else begins_reply
        try:
            return self._rendered(messages, tools, options, begins_reply=begins).text
        except InvalidRequest:
            return None

    def _rendered(
        self, messages: Sequence[ChatMessage], tools: Sequence[Tool], options: TemplateOptions, *, begins_reply: bool
    ) -> Written:
        own, given = [self._own(message) for message in messages], [dict(tool) for tool in tools] or None
        (said, offered, told), mark = self._names.guarded(own, given, options)
        put: Any = self.calls.put(said)
        try:
            rendered = self._tokenizer.apply_chat_template(
                put, offered, tokenize=False, add_generation_prompt=begins_reply, **told
            )
        except jinja2.TemplateError as error:
            raise _refused(str(error)) from error
        except Exception as error:  # a template is a program, and does not expect everything
            raise _refused(f"{type(error).__name__}: {error}") from error
        return self._names.unguarded(cast(str, rendered), mark)

    def _own(self, message: ChatMessage) -> Mapping[str, object]:
        """With the thought where this template looks for it."""
        if "reasoning_content" not in message or self._field == "reasoning_content":
            return message
        own: dict[str, object] = {name: value for name, value in message.items() if name != "reasoning_content"}
        thought = message["reasoning_content"]
        if self._field == _BLOCKS:
            parts = [{"type": "thinking", "thinking": thought}, {"type": "text", "text": message["content"]}]
            return {**own, "content": parts}
        return {**own, self._field: thought}


def _words_for(effort: str) -> Sequence[str]:
    """By which a template may know it: the word itself, then those for a little more and a little less."""
    if effort not in _LEVELS:
        return _NO_LEVELS
    place = _LEVELS.index(effort)
    return [*_LEVELS[place:], *reversed(_LEVELS[:place])]


def _call_styles() -> Iterator[CallStyle]:
    """The plainest first."""
    for one_at_a_time in (False, True):
        for short_ids in (False, True):
            for as_text in (False, True):
                yield CallStyle(as_text, one_at_a_time, short_ids)


def _refused(message: str) -> InvalidRequest:
    return InvalidRequest(
        f"The model's chat template does not take these messages: {message}", code="chat_template", param="input"
    )


def _variables(source: str) -> Iterator[str]:
    """Names that it asks for, and not parts of other things: some templates have words of their own, so only its
    tokens are looked at."""
    before = ""
    for _, kind, value in jinja2.Environment(autoescape=True).lex(source):
        if kind == "name" and before != ".":
            yield value
        if kind != "whitespace":
            before = value
