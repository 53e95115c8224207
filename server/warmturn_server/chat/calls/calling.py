"""A model's way of calling functions, and what of a request's functions matters to who reads its reply."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..model import Tool
from ..reply_parser import ReplyParser
from .formats import CallFormat
from .parser import CallParser
from .reading import Schemas


@dataclass(frozen=True, slots=True)
class Calling:
    """`tokens`: the marks of the format that are special tokens, and count only as such. `ends`: tokens that end a
    reply that calls. `several`: whether a reply may have more calls than one."""

    form: CallFormat
    tokens: frozenset[str] = frozenset()
    ends: tuple[int, ...] = ()
    several: bool = True

    def parser(self, tools: Sequence[Tool], inner: ReplyParser) -> CallParser:
        """For a reply, of which `inner` has told apart what is thought from what is said."""
        return CallParser(self.form, self.tokens, schemas_of(tools), inner, new_call_id)


def new_call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def schemas_of(tools: Sequence[Tool]) -> Schemas:
    functions: list[Mapping[str, Any]] = [tool["function"] for tool in tools]
    return {function["name"]: function.get("parameters") or {} for function in functions}
