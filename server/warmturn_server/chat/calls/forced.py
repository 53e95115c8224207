"""The form of a reply that has to call a function, or whose calls have to be what schemas say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ...engine_api import Grammar, SamplingParams
from ...errors import InvalidRequest
from ..model import Tool
from ..tool_rules import ToolRules
from .calling import Calling
from .formats import CallFormat

_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object", "additionalProperties": True}
_PLACE: Final = "tools"
_SPECIAL: Final = frozenset("\\^$.|?*+()[]{}/")

SpecialId = Callable[[str], int | None]
Compiles = Callable[[Grammar], None]
"""Raises `InvalidRequest` for what cannot be carried out."""


def with_calls(
    sampling: SamplingParams, tools: Sequence[Tool], rules: ToolRules, calling: Calling, special_id: SpecialId
) -> SamplingParams:
    """Raises `InvalidRequest` where the reply has a form already that goes with no calls."""
    if not rules.may_call:
        return _without(sampling, calling, special_id)
    sampling = replace(sampling, stop_token_ids=(*sampling.stop_token_ids, *calling.ends))
    form = _Forms(calling, rules, special_id).grammar(tools, sampling.grammar)
    return replace(sampling, grammar=form)


def relaxed(tools: Sequence[Tool], rules: ToolRules, compiles: Compiles) -> list[Tool]:
    """Schemas that cannot be carried out are left to the model, unless they are to be kept to."""
    return [_relaxed(tool, rules, compiles) for tool in tools]


def _relaxed(tool: Tool, rules: ToolRules, compiles: Compiles) -> Tool:
    function = tool["function"]
    if function["name"] in rules.strict or not rules.allows(function["name"]):
        return tool
    try:
        compiles(Grammar("json_schema", json.dumps(function["parameters"]), given_as=_PLACE))
    except InvalidRequest:
        return {**tool, "function": {**function, "parameters": _ANY_OBJECT}}
    return tool


def _without(sampling: SamplingParams, calling: Calling, special_id: SpecialId) -> SamplingParams:
    """What calls begin with is not written."""
    openings = [opening for opening in calling.form.openings if opening and not calling.form.in_channel]
    biases = tuple((token_id, -100.0) for mark in openings if (token_id := special_id(mark)) is not None)
    words = tuple(mark for mark in openings if special_id(mark) is None)
    return replace(sampling, logit_bias=(*sampling.logit_bias, *biases), bad_words=(*sampling.bad_words, *words))


def needs_form(rules: ToolRules, calling: Calling) -> bool:
    """Of a reply that may call or not, only where something about its calls is to be certain; channels part what is
    thought, said and called, so that there the whole reply would have to be of the form."""
    is_certain = bool(rules.strict) or rules.only is not None or (calling.several and not rules.several)
    return rules.must_call or (rules.may_call and is_certain and not calling.form.in_channel)


@dataclass
class _Forms:
    calling: Calling
    rules: ToolRules
    special_id: SpecialId
    schemas: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def form(self) -> CallFormat:
        return self.calling.form

    def grammar(self, tools: Sequence[Tool], answer: Grammar | None) -> Grammar | None:
        """`answer`: the form of what is said instead of calls."""
        if answer is not None and answer.kind != "json_schema" and not self.rules.must_call:
            raise InvalidRequest(
                f"{answer.given_as} cannot be asked for together with tools: give a JSON schema, or no tools.",
                code="unsupported_value",
                param=answer.given_as,
            )
        if not needs_form(self.rules, self.calling) and answer is None:
            return None
        allowed = [tool["function"] for tool in tools if self.rules.allows(tool["function"]["name"])]
        calls = [self._call(number, function) for number, function in enumerate(allowed)]
        self.lines += [f"call: {' | '.join(calls)}"]
        self._start(answer)
        text = json.dumps({"lark": "\n".join(["%llguidance {}", *self.lines]), "schemas": self.schemas})
        return Grammar("calls", text, given_as=_PLACE, tokens=self.calling.tokens)

    def _start(self, answer: Grammar | None) -> None:
        region, more = self._region()
        self.lines.append(f"calls: {region}")
        if self.rules.must_call:
            self.lines.append("start: calls")
        elif answer is not None:
            self._schema("answer", json.loads(answer.text), answer.given_as, whitespace=answer.whitespace)
            self.lines.append("start: calls | answer")
        elif self.form.only_first:
            self.lines += ["start: calls | SAID?", "SAID: /[^{](.|\\n)*/"]
        elif self.form.opening in self.calling.tokens:
            self.lines += ["start: SAID? calls | SAID?", "SAID: /(.|\\n)+/"]
        else:
            opening = json.dumps(self.form.opening)
            escaped = _regex(self.form.opening)
            self.lines += [
                "start: lead rest | SAID?",
                f"lead[suffix={opening}]: /(.|\\n)*/",
                f"rest: {more}",
                f"SAID: /(.|\\n)+/ & ~/(.|\\n)*{escaped}(.|\\n)*/",
            ]

    def _region(self) -> tuple[str, str]:
        """All calls of a reply; and the same without the first mark."""
        form, several = self.form, self.rules.several and self.calling.several
        opening, ending = self._written(form.opening), self._written(form.ending)
        if form.repeats:
            between = self._written("\n" if form.ending else "")
            more = f" ({between} {opening} call {ending})*" if several else ""
            rest = f"call {ending}{more}"
        elif form.in_list:
            is_in_lines = form.spelled[0].startswith("\n")
            more = f" ({json.dumps(',' if is_in_lines else ', ')} call)*" if several else ""
            rest = f'"[" call{more} {json.dumps(chr(10) + "]" if is_in_lines else "]")} {ending}'
        else:
            rest = f"{'call+' if several else 'call'} {ending}"
        return f"{opening} {rest}".strip(), rest

    def _call(self, number: int, function: Mapping[str, Any]) -> str:
        before, between, behind = self.form.spelled
        arguments = self._tagged(number, function) if self.form.pair else self._json(number, function)
        written = f"{self._written(before + function['name'] + between)} {arguments} {self._written(behind)}"
        self.lines.append(f"call_{number}: {written}")
        return f"call_{number}"

    def _json(self, number: int, function: Mapping[str, Any]) -> str:
        return self._schema(f"arguments_{number}", self._kept(function), self._place(function))

    def _kept(self, function: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema, where calls are to be what it says; of arguments those that it names, unless it wants more."""
        is_kept = self.rules.must_call or function["name"] in self.rules.strict
        return {"type": "object", "additionalProperties": False, **function["parameters"]} if is_kept else _ANY_OBJECT

    def _tagged(self, number: int, function: Mapping[str, Any]) -> str:
        schema = function["parameters"]
        required = schema.get("required", [])
        parts = list[str]()
        for place, (name, inner) in enumerate(schema.get("properties", {}).items()):
            if inner is False:  # it is in no arguments
                continue
            own = {} if inner is True else inner
            part = " ".join(
                self._pair(f"{number}_{place}", name, own, f"{self._place(function)}.properties.{name}", schema)
            )
            parts.append(part if name in required else f"({part})?")
        return " ".join(parts)

    def _pair(
        self, rule: str, name: str, schema: Mapping[str, Any], place: str, whole: Mapping[str, Any]
    ) -> Iterator[str]:
        opening, between, closing = self.form.spelled_pair
        yield self._written(opening + name + between)
        if 'string="false"' not in between and schema.get("type") == "string" and schema.get("enum") is None:
            self.lines.append(f"value_{rule}[suffix={json.dumps(closing)}]: /(.|\\n)*/")
            yield f"value_{rule}"
        elif 'string="false"' not in between and schema.get("type", "string") == "string" and schema.get("enum"):
            yield f"({' | '.join(self._written(str(value)) for value in schema['enum'])}) {self._written(closing)}"
        else:
            shared = {key: whole[key] for key in ("$defs", "definitions") if key in whole}
            yield f"{self._schema(f'value_{rule}', {**shared, **schema}, place)} {self._written(closing)}"

    def _place(self, function: Mapping[str, Any]) -> str:
        return self.rules.places.get(function["name"], _PLACE)

    def _schema(self, rule: str, schema: Mapping[str, Any], place: str, whitespace: str | None = "") -> str:
        """As templates write JSON, with a space behind each comma and colon, unless `whitespace` says otherwise."""
        self.schemas[rule] = {"schema": schema, "place": place, "whitespace": whitespace}
        return rule

    def _written(self, text: str) -> str:
        """A text with the special tokens in it."""
        marks = sorted((mark for mark in self.calling.tokens if mark in text), key=text.index)
        if not marks:
            return json.dumps(text, ensure_ascii=False) if text else ""
        before, mark, after = text.partition(marks[0])
        return f"{self._written(before)} <[{self.special_id(mark)}]> {self._written(after)}".strip()


def _regex(text: str) -> str:
    """For the library's patterns."""
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in text)
