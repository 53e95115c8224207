"""The functions that an agent is offered: made up, and such that a call of any of them is short."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from warmturn_bench.workload.scenario import Scenario
from warmturn_bench.workload.vocabulary import words

_VERBS = ("read", "find", "move", "send")
_DESCRIPTION_WORDS = 14
_TOKENS_FOR_EACH = 1024
"""Of the context: a small one has fewer functions, so that there is room for steps."""


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    description: str

    @property
    def definition(self) -> dict[str, Any]:
        """Held to its schema, so that a model of any size writes arguments that can be read."""
        page = {"type": "integer", "minimum": 0, "maximum": 999}
        parameters = {"type": "object", "properties": {"page": page}, "required": ["page"]}
        closed = {**parameters, "additionalProperties": False}
        return {"name": self.name, "description": self.description, "parameters": closed, "strict": True}


def functions_of(scenario: Scenario, seed: int, context_tokens: int) -> tuple[Function, ...]:
    """The same in all conversations of a run."""
    rng = Random(f"{seed} functions")
    count = min(scenario.functions, max(context_tokens // _TOKENS_FOR_EACH, 1))
    return tuple(Function(f"{verb}_page", words(rng, _DESCRIPTION_WORDS)) for verb in _VERBS[:count])


def in_responses(functions: tuple[Function, ...]) -> Mapping[str, Any]:
    """Fields of a request in which one of them has to be called; nothing without functions."""
    return _forced([{"type": "function", **one.definition} for one in functions])


def in_chat(functions: tuple[Function, ...]) -> Mapping[str, Any]:
    """The same for Chat Completions."""
    return _forced([{"type": "function", "function": one.definition} for one in functions])


def _forced(tools: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {"tools": tools, "tool_choice": "required", "parallel_tool_calls": False} if tools else {}
