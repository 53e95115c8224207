"""Calls that a model makes because it has to: whether it can, how long they are, and what is sent back."""

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from warmturn.errors import ApiError, SettingsError
from warmturn_bench.sample import TurnFailed
from warmturn_bench.workload.functions import Function
from warmturn_bench.workload.script import Sizes

QUESTION = "Which page comes next?"
_MOST_TOKENS, _PART_OF_CONTEXT = 512, 4
_NOT_OF_THE_MODEL = (401, 403, 429, 503)
_CHARACTERS_A_TOKEN, _ASSUMED_CALL_TOKENS = 3, 60


@dataclass(frozen=True, slots=True)
class Call:
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One call on trial. What the server does not say is None."""

    called: bool
    prompt_tokens: int | None
    output_tokens: int | None


Try = Callable[[tuple[Function, ...], int], Awaitable[Tried]]
"""Has a model call one of the functions, within so many tokens."""


async def measure_calls(sizes: Sizes, functions: tuple[Function, ...], try_call: Try, where: str) -> Sizes:
    """With how many tokens definitions and a call have. Raises `SettingsError` where this model calls nothing."""
    if not functions:
        return sizes
    most_tokens = min(_MOST_TOKENS, sizes.context_tokens // _PART_OF_CONTEXT)
    try:
        tried = await try_call(functions, most_tokens)
    except ApiError as error:
        if error.status in _NOT_OF_THE_MODEL:
            raise
        raise _refused(where, str(error)) from error
    if not tried.called:
        raise _refused(where, f"asked to call one, it called none within {most_tokens} tokens")
    guessed = len(json.dumps([one.definition for one in functions])) // _CHARACTERS_A_TOKEN
    return replace(
        sizes,
        definitions_tokens=tried.prompt_tokens or guessed,
        call_tokens=tried.output_tokens or _ASSUMED_CALL_TOKENS,
    )


def _refused(where: str, why: str) -> SettingsError:
    return SettingsError(
        f"--scenario agent needs a model that calls functions, and {where} does not: {why.rstrip('.')}. "
        "Take another model, or --scenario long."
    )


def the_call(calls: Iterable[Call]) -> Call:
    """Of a turn that had to be one. Raises `TurnFailed`."""
    for call in calls:
        return call
    raise TurnFailed("no call", "a function was to be called, and the reply calls none")


def assistant_calls(call: Call) -> dict[str, Any]:
    """The message that says so in Chat Completions."""
    function = {"name": call.name, "arguments": call.arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call.call_id, "type": "function", "function": function}],
    }
