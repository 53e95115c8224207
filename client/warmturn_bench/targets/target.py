"""The server under load, whichever it is."""

from random import Random
from typing import Any, Protocol

from warmturn.errors import ProtocolError, SettingsError
from warmturn.wire import ReuseMode
from warmturn_bench.sample import Reply
from warmturn_bench.targets.calls import Tried, measure_calls
from warmturn_bench.targets.http import Http
from warmturn_bench.targets.openai import OpenAITarget
from warmturn_bench.targets.warmturn import WarmturnTarget
from warmturn_bench.workload.functions import Function
from warmturn_bench.workload.script import Script, ScriptedTurn, Sizes
from warmturn_bench.workload.vocabulary import words

_ASSUMED_CONTEXT = 4096
_CONTEXT_NAMES = ("context_length", "max_model_len", "context_window")
_PROBE_WORDS = (40, 240)


class Dialogue(Protocol):
    """One conversation in one mode."""

    async def say(self, turn: ScriptedTurn) -> Reply:
        """Raises `TurnFailed`."""


class Target(Protocol):
    url: str
    model: str
    modes: tuple[ReuseMode, ...]

    async def begin(self, script: Script, mode: ReuseMode) -> Dialogue:
        """Raises `TurnFailed`."""

    async def prompt_tokens(self, text: str) -> int | None:
        """How long a prompt of this one message is; None where the server does not tell."""

    async def try_call(self, functions: tuple[Function, ...], most_tokens: int) -> Tried:
        """Has the model call one of them. Raises `ApiError` where it cannot be asked to."""

    async def figures(self) -> dict[str, Any] | None:
        """What the server says of itself, `/v1/stats`; None where there is no such thing."""

    async def settle(self) -> None:
        """Wait until the server has done what it puts off while there is load, and needs these conversations for."""

    async def clean(self) -> None:
        """Delete what was made there, as far as that can be done."""

    async def close(self) -> None:
        """The connection."""


async def open_target(
    url: str, api_key: str | None, model: str | None, *, ignore_eos: bool
) -> tuple[WarmturnTarget | OpenAITarget, int]:
    """The server at `url`, driven in the best way that it knows; and its context length in tokens."""
    http = Http(url, api_key)
    entry = await _model_entry(http, model)
    if entry.get("owned_by") == "warmturn":
        return WarmturnTarget(http, entry["id"], ignore_eos=ignore_eos), _context(entry)
    return OpenAITarget(http, entry["id"], ignore_eos=ignore_eos), _context(entry)


async def connected(url: str, api_key: str | None, model: str | None) -> tuple[Http, str, int]:
    """The server at `url`, its model's name and context length, whatever it knows beside OpenAI's API."""
    http = Http(url, api_key)
    entry = await _model_entry(http, model)
    return http, entry["id"], _context(entry)


async def measure_sizes(target: Target, context_tokens: int, functions: tuple[Function, ...] = ()) -> Sizes:
    """Asks the server itself: nobody else knows its tokenizer. Two prompts tell the slope and what is around them.

    Raises `SettingsError` where there are functions and its model calls none.
    """
    few, many = [await target.prompt_tokens(_probe(count)) for count in _PROBE_WORDS]
    sizes = _sizes(few, many, context_tokens)
    return await measure_calls(sizes, functions, target.try_call, f"{target.model} at {target.url}")


def _sizes(few: int | None, many: int | None, context_tokens: int) -> Sizes:
    if few is None or many is None or many <= few:
        return Sizes(1.5, 12, context_tokens)
    per_word = (many - few) / (_PROBE_WORDS[1] - _PROBE_WORDS[0])
    frame = max(round(few - per_word * _PROBE_WORDS[0]), 4)
    return Sizes(per_word, frame, context_tokens)


def _context(entry: dict[str, Any]) -> int:
    return next((entry[name] for name in _CONTEXT_NAMES if isinstance(entry.get(name), int)), _ASSUMED_CONTEXT)


def _probe(count: int) -> str:
    return words(Random(count), count)


async def _model_entry(http: Http, model: str | None) -> dict[str, Any]:
    listing = (await http.get("/v1/models")).get("data")
    if not isinstance(listing, list) or not all(isinstance(entry, dict) and "id" in entry for entry in listing):
        raise ProtocolError(f"{http.base_url}/v1/models does not list models as OpenAI's API does")
    if model is None and listing:
        return dict(listing[0])
    for entry in listing:
        if entry["id"] == model:
            return dict(entry)
    known = ", ".join(entry["id"] for entry in listing[:8]) or "none"
    raise SettingsError(f"{http.base_url} does not serve {model or 'any model'}; it serves: {known}")
