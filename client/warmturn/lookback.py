"""What a reply looked at: for each layer and each token of the reply, the share of attention that earlier ones got.

Shares are softmax weights, averaged over heads, and over looks (of a layer) or layers (of a look). Each layer looks at
the state that earlier tokens have at its own depth.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """Something to look at. `kind` is template, instructions, item, reply or sink; `turn` counts from 1.

    `tokens`: how many are certainly its own. `text`: how it begins.
    """

    kind: str
    item_id: str | None
    role: str | None
    turn: int | None
    tokens: int
    text: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A token, where it stands, whose it is (number of a source), and its share."""

    position: int
    text: str
    source: int
    share: float


@dataclass(frozen=True, slots=True)
class AtDepth:
    """What one layer looked at most among the earlier turns: a source, and the token that got most."""

    source: int
    share: float
    token: Seen


@dataclass(frozen=True, slots=True)
class LayerLooks:
    """One layer over all looks: the share of each source, and the tokens most looked at."""

    shares: tuple[float, ...]
    top: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """The attention of the position that chose the reply's token `text`: the one just before it.

    `by_layer` has None for a layer that saw no earlier turn.
    """

    token_id: int
    text: str
    position: int
    shares: tuple[float, ...]
    top: tuple[Seen, ...]
    by_layer: tuple[AtDepth | None, ...]


@dataclass(frozen=True, slots=True)
class Lookback:
    """`looks` are those of the reply's first tokens; `output_tokens` is how many it has."""

    sources: tuple[Source, ...]
    layers: tuple[LayerLooks, ...]
    looks: tuple[Look, ...]
    output_tokens: int


def parse_lookback(data: Mapping[str, Any]) -> Lookback:
    """Raises KeyError or TypeError where it is none."""
    tokens = {int(position): token for position, token in data["tokens"].items()}

    def seen(position: int, share: float) -> Seen:
        return Seen(position, tokens[position]["text"], tokens[position]["source"], share)

    def top(entries: list[dict[str, Any]]) -> tuple[Seen, ...]:
        return tuple(seen(entry["position"], entry["share"]) for entry in entries)

    def depth(entry: dict[str, Any] | None) -> AtDepth | None:
        if entry is None:
            return None
        return AtDepth(entry["source"], entry["share"], seen(entry["position"], entry["token_share"]))

    return Lookback(
        sources=tuple(Source(**{name: source[name] for name in Source.__slots__}) for source in data["sources"]),
        layers=tuple(LayerLooks(tuple(layer["shares"]), top(layer["top"])) for layer in data["layers"]),
        looks=tuple(
            Look(
                look["token_id"],
                look["text"],
                look["position"],
                tuple(look["shares"]),
                top(look["top"]),
                tuple(depth(entry) for entry in look["by_layer"]),
            )
            for look in data["looks"]
        ),
        output_tokens=data["output_tokens"],
    )
