"""The queries of chosen positions, kept as attention is called with them: half of what attention weights are made of.

The other half, the keys, is the saved state itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...engine_api.lookback import MAX_LOOKS


@dataclass(frozen=True, slots=True)
class Scoring:
    """How one layer makes weights of queries and keys."""

    scale: float
    window: int | None = None
    softcap: float | None = None
    sinks: torch.Tensor | None = None

    @classmethod
    def told(cls, dim: int, given: Mapping[str, Any]) -> Scoring:
        """From the arguments of an attention call over keys of so many numbers."""
        scale = given.get("scaling")
        window, softcap, sinks = (given.get(name) for name in ("sliding_window", "softcap", "s_aux"))
        return cls(dim**-0.5 if scale is None else scale, window, softcap, sinks)


class Queries:
    """Queries of up to `limit` positions from `first` on, layer by layer. Written by the thread that runs the model."""

    def __init__(self, first: int, limit: int = MAX_LOOKS) -> None:
        self.first = first
        self.scoring: dict[int, Scoring] = {}
        self._limit = limit
        self._pieces: dict[int, list[torch.Tensor]] = {}
        self._stops: dict[int, int] = {}

    @property
    def stop(self) -> int:
        """The position behind the last one kept."""
        return min(self._stops.values(), default=self.first)

    def take(self, layer: int, start: int, query: torch.Tensor, scoring: Scoring) -> None:
        """Copy what is wanted of `query` `[heads, tokens, dim]`, whose first token stands at position `start`.

        What was taken before is not taken again: without a cache every step computes every position anew.
        """
        begin, stop = self._stops.get(layer, self.first), min(start + query.shape[1], self.first + self._limit)
        if start <= begin < stop:
            self._pieces.setdefault(layer, []).append(query[:, begin - start : stop - start].clone())
            self._stops[layer] = stop
            self.scoring[layer] = scoring

    def of_layer(self, layer: int) -> torch.Tensor:
        """`[heads, positions, dim]`."""
        return torch.cat(self._pieces[layer], dim=1)
