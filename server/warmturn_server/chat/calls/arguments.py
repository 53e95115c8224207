"""Reads the arguments of one call, piece by piece, as the text of a JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from .formats import CallFormat

_CUT: Final = re.compile(r"(?:t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|-|[eE.][-+]?|\\(?:u[0-9a-fA-F]{0,3})?)?")
"""What may stand at the end of JSON that is not all there yet, and be the beginning of something."""
_DECODER: Final = json.JSONDecoder()


class Arguments(Protocol):
    """`feed` gives what of the object is certain; when it is whole or broken, `rest` is what stands behind it."""

    is_whole: bool
    is_broken: bool
    rest: str

    def feed(self, text: str) -> str: ...


class JsonArguments:
    """As they are written. What is no JSON is not told, as far as that was noticed in time."""

    def __init__(self, form: CallFormat) -> None:
        self.is_whole = self.is_broken = False
        self.rest = ""
        self._text = ""
        self._may_end = {"}", *form.ending[:1]}

    def feed(self, text: str) -> str:
        told = len(self._text)
        self._text += text
        if self._text.startswith("{") and self._may_end.isdisjoint(text):
            return text
        end = self._end()
        self.rest = self._text[told if self.is_broken else end :]
        return self._text[told : len(self._text) - len(self.rest)]

    def _end(self) -> int:
        """As far as it goes."""
        try:
            given, end = _DECODER.raw_decode(self._text)
        except json.JSONDecodeError as error:
            is_cut = error.msg.startswith("Unterminated") or _CUT.fullmatch(self._text, error.pos)
            self.is_broken = not is_cut
            return len(self._text)
        self.is_whole, self.is_broken = isinstance(given, dict), not isinstance(given, dict)
        return end


class TaggedArguments:
    """Each in tags of its own. A value is the text between them, unless the function's schema wants something else."""

    def __init__(self, form: CallFormat, schema: Mapping[str, Any]) -> None:
        assert form.pair is not None, "arguments without tags are JSON"
        self.is_whole = self.is_broken = False
        self.rest = ""
        self._pair, self._tail, self._ending = form.pair, form.tail, form.ending
        self._properties = schema.get("properties")
        self._count = 0

    def feed(self, text: str) -> str:
        self.rest += text
        told = ""
        while pair := self._pair.match(self.rest.lstrip()):
            told += f"{', ' if self._count else '{'}{self._written(pair)}"
            self.rest = self.rest.lstrip()[pair.end() :]
            self._count += 1
        if self._ends_here():
            self.is_whole = True
            told += "}" if self._count else "{}"
        return told

    def _ends_here(self) -> bool:
        rest = self.rest.lstrip()
        return bool(self._tail.match(rest)) if self._tail.pattern else rest.startswith(self._ending)

    def _written(self, pair: re.Match[str]) -> str:
        key, value = pair["key"].strip(), pair["value"]
        is_text = pair.groupdict().get("is_text")
        if is_text != "true" and (is_text == "false" or self._wants_json(key, value)):
            value = value.strip()
        else:
            value = json.dumps(value, ensure_ascii=False)
        return f"{json.dumps(key, ensure_ascii=False)}: {value}"

    def _wants_json(self, key: str, value: str) -> bool:
        """Whether the schema wants something else than a text there, and that is what was written."""
        properties = self._properties if isinstance(self._properties, Mapping) else {}
        schema = properties.get(key)
        wanted = schema.get("type") if isinstance(schema, Mapping) else None
        kinds = wanted if isinstance(wanted, list) else [wanted]
        if not isinstance(schema, Mapping) or (wanted is None and not {"anyOf", "oneOf", "$ref"} & schema.keys()):
            return False
        if "string" in kinds and len(kinds) == 1:
            return False
        try:
            given = json.loads(value)
        except ValueError:
            return False
        return not isinstance(given, str) or "string" not in kinds


def arguments_of(form: CallFormat, schema: Mapping[str, Any]) -> Arguments:
    return TaggedArguments(form, schema) if form.pair else JsonArguments(form)
