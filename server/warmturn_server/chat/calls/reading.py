"""Reads calls out of what stands behind their opening, piece by piece as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..parts import ToolCall
from .arguments import Arguments, arguments_of
from .formats import CallFormat

_LONGEST_HEAD: Final = 400
"""Characters: what goes on for longer without a function's name is no call."""
_LONGEST_TAIL: Final = 64
_DECODER: Final = json.JSONDecoder()
_NO_CALL: Final = ToolCall("", "", "")

NewCallId = Callable[[], str]
Schemas = Mapping[str, Mapping[str, Any]]
"""By name, of the functions that may be called; what calls another one is no call."""


class CallReader:
    """`rest`: what was given and is not read yet; once it `is_over`, what is no part of it."""

    def __init__(self, form: CallFormat, schemas: Schemas, new_id: NewCallId, taken_ids: set[str]) -> None:
        """`taken_ids`: of this reply's other calls, for models write the same one twice."""
        self.form = form
        self.schemas = schemas
        self.new_id = new_id
        self.rest = ""
        self.is_over = False
        self.written_ids: list[str | None] = []
        """Of the calls so far, where ids are written along; without calls nothing of it was one."""
        self._taken_ids = taken_ids
        self._call = _NO_CALL
        self._arguments: Arguments | None = None
        self._in_tail = self._is_listed = False

    def feed(self, text: str) -> list[ToolCall]:
        """Pieces of calls: the first one of each has its name."""
        self.rest += text
        found = list[ToolCall]()
        while not self.is_over and self._advances(found):
            pass
        return found

    def _advances(self, found: list[ToolCall]) -> bool:
        if self._arguments is not None:
            return self._reads_arguments(self._arguments, found)
        return self._reads_tail() if self._in_tail else self._reads_head(found)

    def _reads_head(self, found: list[ToolCall]) -> bool:
        self._skip_to_head()
        if self._ends():
            return False
        if head := self.form.head.match(self.rest):
            self.rest, given = self.rest[head.end() :], head.groupdict()
            return self._begins(head["name"], given.get("id"), found)
        if self.form.is_json and self.rest.startswith("{"):
            return self._reads_object(found)
        if self._is_hopeless():
            self.is_over = True
        return False

    def _is_hopeless(self) -> bool:
        if self.form.is_json and self.rest:
            return not (self.written_ids and self.form.ending.startswith(self.rest.lstrip()))
        return len(self.rest) > _LONGEST_HEAD

    def _skip_to_head(self) -> None:
        """Over the list that calls stand in. Spaces behind the last call are nobody's yet."""
        rest = self.rest.lstrip()
        while self.form.in_list and rest[:1] in ("[", ",") and rest:
            self._is_listed |= rest[0] == "["
            rest = rest[1:].lstrip()
        is_list_over = self._is_listed and rest.startswith("]")
        if is_list_over:
            self._is_listed, rest = False, rest[1:]
        if self.form.ending or self._is_listed or is_list_over or not self.written_ids:
            self.rest = rest

    def _ends(self) -> bool:
        ending = self.form.ending
        if not ending:
            self.is_over = bool(self.written_ids) and not self._is_listed
        elif self.rest.startswith(ending):
            self.rest, self.is_over = self.rest.removeprefix(ending), True
        return self.is_over

    def _begins(self, name: str, written_id: str | None, found: list[ToolCall]) -> bool:
        if name not in self.schemas:
            self.is_over = True
            return False
        own = written_id if written_id and written_id not in self._taken_ids else self.new_id()
        self._taken_ids.add(own)
        self._call = ToolCall(own, name, "")
        self.written_ids.append(written_id)
        self._arguments = arguments_of(self.form, self.schemas[name])
        found.append(self._call)
        return True

    def _reads_object(self, found: list[ToolCall]) -> bool:
        """JSON that has its arguments before its name, or something else besides."""
        try:
            given, end = _DECODER.raw_decode(self.rest)
        except json.JSONDecodeError:
            return False
        name = next((given[key] for key in ("name", "function", "tool_name") if key in given), None)
        arguments = given.get("arguments", given.get("parameters", {}))
        if not isinstance(name, str) or not isinstance(arguments, dict):
            self.is_over = True
            return False
        before, self.rest = self.rest, self.rest[end:]
        if not self._begins(name, given["id"] if isinstance(given.get("id"), str) else None, found):
            self.rest = before
            return False
        found.append(self._piece(json.dumps(arguments, ensure_ascii=False)))
        self._arguments = None
        return True

    def _reads_arguments(self, arguments: Arguments, found: list[ToolCall]) -> bool:
        if arguments.is_broken:
            return self._reads_broken(found)
        given, self.rest = self.rest, ""
        if piece := arguments.feed(given):
            found.append(self._piece(piece))
        if arguments.is_whole:
            self._arguments, self._in_tail = None, True
        if arguments.is_whole or arguments.is_broken:
            self.rest = arguments.rest
        return arguments.is_whole or arguments.is_broken

    def _reads_broken(self, found: list[ToolCall]) -> bool:
        """What is no JSON is told as it is written, up to the mark that ends it, or to the end of all."""
        before, ending, after = self.rest.partition(self.form.ending) if self.form.ending else (self.rest, "", "")
        if ending:
            found.append(self._piece(before))
            self.rest, self.is_over = after, True
        return False

    def finish(self) -> list[ToolCall]:
        """No more is to come."""
        left, self.is_over = self.rest, True
        if self._arguments is None or not self._arguments.is_broken:
            return []
        self.rest = ""
        return [self._piece(left)] if left else []

    def _reads_tail(self) -> bool:
        rest = self.rest.lstrip() if self.form.tail.pattern else self.rest
        tail = self.form.tail.match(rest)
        if tail is None and len(rest) < _LONGEST_TAIL:
            return False
        if tail and tail.groupdict().get("id"):
            self.written_ids[-1] = tail["id"]
        self.rest, self._in_tail = rest[tail.end() :] if tail else rest, False
        return True

    def _piece(self, arguments: str) -> ToolCall:
        return ToolCall(self._call.call_id, self._call.name, arguments)
