"""How a model's makers say that its tokens are to be chosen, for requests that do not say it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from ...engine_api.request import SamplingParams
from .checkpoint import Checkpoint

_SENSIBLE: Final[Mapping[str, Callable[[float], bool]]] = {
    "temperature": lambda value: 0 <= value <= 2,
    "top_p": lambda value: 0 < value <= 1,
    "top_k": lambda value: value >= 0 and value == int(value),
    "min_p": lambda value: 0 <= value <= 1,
    "repetition_penalty": lambda value: 0 < value <= 10,
}
"""What of a generation config counts, and which values of it; the limits are those of requests."""


def sampling_defaults(checkpoint: Checkpoint) -> SamplingParams:
    """Of its generation config and, before that, its GGUF file; OpenAI's defaults for what neither says."""
    said = {**(checkpoint.gguf.sampling if checkpoint.gguf else {}), **_generation_config(checkpoint)}
    found = {name: said[name] for name, is_sensible in _SENSIBLE.items() if _is_number(said.get(name), is_sensible)}
    if "top_k" in found:
        found["top_k"] = int(found["top_k"])
    if said.get("do_sample") is False:
        found["temperature"] = 0.0
    return SamplingParams(**found)


def _is_number(value: object, is_sensible: Callable[[float], bool]) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and is_sensible(value)


def _generation_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """As it is written: what transformers makes of it has defaults of its own."""
    try:
        said = json.loads((checkpoint.folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
