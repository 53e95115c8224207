"""What an output looked at, as data: the question and its answer.

A *look* is the attention of the position that chose an output token: the one just before it. Of each layer's weights
the mean over its heads is taken; a look's own figures are also means over the layers, a layer's over the looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_LOOKS: Final = 256
"""Positions of one turn whose queries are kept; with all layers and heads each takes as much memory as its Q."""


@dataclass(frozen=True, slots=True)
class LookbackRequest:
    """To whom each prompt token belongs: a group below `num_groups`, 0 for nobody. Output tokens are the next group.

    `earlier` groups are those of earlier turns. `recomputes_reply`: the request's own tokens go on with an output of
    long ago, all of it but its last token; it is computed once more for the looks alone.
    """

    groups: tuple[int, ...]
    num_groups: int
    earlier: frozenset[int] = frozenset()
    recomputes_reply: bool = False

    @property
    def first(self) -> int:
        """Where the first look is from: the prompt's last token."""
        return len(self.groups) - 1


@dataclass(frozen=True, slots=True)
class Seen:
    """The token at `position` got this share of the attention."""

    position: int
    share: float


@dataclass(frozen=True, slots=True)
class AtDepth:
    """What one layer looked at most among the earlier turns: a group and, not necessarily in it, a token."""

    group: int
    share: float
    token: Seen


@dataclass(frozen=True, slots=True)
class LayerLooks:
    """One layer over all looks. `shares`: each prompt group's, the output's, the sinks'; they sum to 1.

    `top`: the tokens most looked at, of those that belong to a prompt group other than 0.
    """

    shares: tuple[float, ...]
    top: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """One position over all layers. `by_layer` has None for a layer that sees no earlier turn (a short window)."""

    position: int
    shares: tuple[float, ...]
    top: tuple[Seen, ...]
    by_layer: tuple[AtDepth | None, ...]


@dataclass(frozen=True, slots=True)
class Lookback:
    layers: tuple[LayerLooks, ...]
    looks: tuple[Look, ...]
