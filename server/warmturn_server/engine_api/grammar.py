"""The form that a whole output has to have, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

GrammarKind = Literal["json_schema", "regex", "choice", "grammar", "calls"]


@dataclass(frozen=True, slots=True)
class Thought:
    """What an output may begin with before it takes its form: any text between two marks.

    `is_open`: the prompt ends with the first mark, so the second has to come. `tokens`: those that are special tokens.
    """

    opening: str
    closing: str
    is_open: bool = False
    tokens: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Grammar:
    """`text` is, by its kind: a JSON schema; a regular expression for all of the output; a JSON list of texts, one of
    which it is; a context-free grammar, in the form of Lark or of llama.cpp (GBNF); for calls of functions the JSON of
    an object: `lark`, a grammar, and `schemas`, rules of it by name, each a `schema` with its `place` in the request
    and the `whitespace` between its tokens.

    `whitespace`: a regular expression, what may stand between the tokens of JSON; None for a little of any kind.
    `given_as`: where the caller wrote it, to name the place of what is wrong with it. `tokens`: special tokens that
    are part of it.
    """

    kind: GrammarKind
    text: str
    whitespace: str | None = None
    thought: Thought | None = None
    given_as: str = field(default="", compare=False)
    tokens: frozenset[str] = frozenset()
