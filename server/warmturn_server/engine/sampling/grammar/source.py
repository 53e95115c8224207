"""From what a caller wrote to what the library compiles, and to where in it something is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from llguidance import LLMatcher, grammar_from

from ....engine_api.grammar import Grammar
from ....errors import InvalidRequest
from .keywords import refuse_unknown_keywords, subschemas
from .thought import behind_thought

_WHITESPACE: Final = r"( |\n[ \t]{0,32})?"
"""Models write JSON on one line or on several, indented. Where any would do, some write nothing else for long."""
_MAX_CHARS: Final = 2**17
_CONTRADICTION: Final = "Unsatisfiable"


def source_of(grammar: Grammar, special: Mapping[str, int]) -> str:
    """`special`: ids of special tokens. Raises `InvalidRequest` for a part of it that is not carried out here."""
    if len(grammar.text) > _MAX_CHARS:
        raise refused(grammar, f"it is longer than {_MAX_CHARS:,} characters")
    form = _form(grammar)
    return form if grammar.thought is None else behind_thought(grammar.thought, form, special)


def _form(grammar: Grammar) -> str:
    if grammar.kind == "json_schema":
        schema = json.loads(grammar.text)
        refuse_unknown_keywords(schema, grammar.given_as)
        return _of_schema(schema, grammar.whitespace)
    if grammar.kind == "calls":
        return _of_calls(json.loads(grammar.text))
    try:
        return grammar_from(grammar.kind, grammar.text)
    except (ValueError, RecursionError) as error:
        raise refused(grammar, str(error)) from error


def _of_calls(given: Mapping[str, Any]) -> str:
    lines = [given["lark"]]
    for rule, part in given["schemas"].items():
        refuse_unknown_keywords(part["schema"], part["place"])
        rules = _rules(part["whitespace"])
        if not part["whitespace"]:
            rules |= {"item_separator": ", ", "key_separator": ": "}
        lines.append(f"{rule}: %json {json.dumps({**part['schema'], 'x-guidance': rules})}")
    return "\n".join(lines)


def refused(grammar: Grammar, why: str) -> InvalidRequest:
    """For a grammar that does not compile. Of a schema it names the smallest part that fails by itself as all does."""
    if grammar.kind == "calls":
        return _refused_calls(json.loads(grammar.text), grammar, why)
    if grammar.kind != "json_schema":
        return InvalidRequest(f"{grammar.given_as}: {_short(why)}", code="invalid_grammar", param=grammar.given_as)
    schema = json.loads(grammar.text)
    why = LLMatcher.validate_grammar(_of_schema(schema, grammar.whitespace)) or why
    return _refused_schema(_Failing(grammar.given_as, schema, why))


def _refused_calls(given: Mapping[str, Any], grammar: Grammar, why: str) -> InvalidRequest:
    for part in given["schemas"].values():
        if wrong := LLMatcher.validate_grammar(_of_schema(part["schema"], part["whitespace"])):
            return _refused_schema(_Failing(part["place"], part["schema"], wrong))
    return InvalidRequest(f"{grammar.given_as}: {_short(why)}", code="invalid_grammar", param=grammar.given_as)


def _refused_schema(whole: _Failing) -> InvalidRequest:
    failing = whole.smallest()
    return InvalidRequest(f"{failing.place}: {_short(failing.why)}", code="invalid_json_schema", param=failing.place)


def _of_schema(schema: object, whitespace: str | None) -> str:
    """No whitespace at all is not a pattern for the library, but a switch of its own."""
    return LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_rules(whitespace))


def _rules(whitespace: str | None) -> Any:
    pattern = _WHITESPACE if whitespace is None else whitespace
    return {"whitespace_pattern": pattern} if pattern else {"whitespace_flexible": False}


def _short(why: str) -> str:
    return why.strip()[:1000]


@dataclass(frozen=True)
class _Failing:
    place: str
    schema: Mapping[str, object]
    why: str

    def smallest(self) -> _Failing:
        """Definitions go along into each part, for what refers to them."""
        shared = {name: self.schema[name] for name in ("$defs", "definitions") if name in self.schema}
        failing = self
        while found := next(failing._parts(shared), None):
            failing = found
        return failing

    def _parts(self, shared: Mapping[str, object]) -> Iterator[_Failing]:
        for place, inner in subschemas(self.schema, self.place):
            if isinstance(inner, Mapping):
                why = LLMatcher.validate_grammar(_of_schema({**shared, **inner}, None))
                if why == self.why or (why.startswith(_CONTRADICTION) and self.why.startswith(_CONTRADICTION)):
                    yield _Failing(place, inner, why)
