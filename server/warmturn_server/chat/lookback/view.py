"""What a reply looked at, in words: the engine's figures with the texts and items that they are about.

As JSON, `shares` have one entry for each of `sources`, in their order, and sum to 1: they are softmax weights, averaged
over heads, and over looks (`layers`) or layers (`looks`). A look is the attention of the position that chose a token of
the reply, the one just before it. Layers count from 0; each saw the state of earlier tokens at its own depth only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import chain

from ...engine_api import AtDepth, Look, Lookback, Seen
from ..model import ItemId
from .attribution import Outline, Source
from .spans import token_spans

_DIGITS = 6

Json = dict[str, object]


@dataclasses.dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids with the text that each stands for."""

    ids: Sequence[int]
    texts: Sequence[str]

    @classmethod
    def of(cls, ids: Sequence[int], text: str, ends: Sequence[int]) -> Tokens:
        return cls(ids, [text[start:stop] for start, stop in token_spans(ends)])

    def split(self, position: int) -> tuple[Tokens, Tokens]:
        return Tokens(self.ids[:position], self.texts[:position]), Tokens(self.ids[position:], self.texts[position:])


def lookback_object(lookback: Lookback, outline: Outline, prompt: Tokens, output: Tokens, reply: ItemId) -> Json:
    """Ready for JSON."""
    sources = [*outline.sources, Source("reply", reply, "assistant", outline.turn, len(output.ids)), Source("sink")]
    return {
        "sources": [dataclasses.asdict(source) for source in sources],
        "layers": [{"shares": _rounded(layer.shares), "top": _seen(layer.top)} for layer in lookback.layers],
        "looks": [
            {"token_id": token_id, "text": text, **_look(look)}
            for token_id, text, look in zip(output.ids, output.texts, lookback.looks, strict=False)
        ],
        "tokens": {
            str(position): {"text": prompt.texts[position], "source": outline.of_token[position]}
            for position in sorted(_mentioned(lookback))
        },
        "output_tokens": len(output.ids),
    }


def _look(look: Look) -> Json:
    return {
        "position": look.position,
        "shares": _rounded(look.shares),
        "top": _seen(look.top),
        "by_layer": [_depth(depth) for depth in look.by_layer],
    }


def _depth(depth: AtDepth | None) -> Json | None:
    if depth is None:
        return None
    token = depth.token
    return {
        "source": depth.group,
        "share": round(depth.share, _DIGITS),
        "position": token.position,
        "token_share": round(token.share, _DIGITS),
    }


def _mentioned(lookback: Lookback) -> set[int]:
    tops = [*(layer.top for layer in lookback.layers), *(look.top for look in lookback.looks)]
    depths = [depth.token for look in lookback.looks for depth in look.by_layer if depth]
    return {seen.position for seen in (*chain.from_iterable(tops), *depths)}


def _seen(top: Iterable[Seen]) -> list[Json]:
    return [{"position": seen.position, "share": round(seen.share, _DIGITS)} for seen in top]


def _rounded(shares: Iterable[float]) -> list[float]:
    return [round(share, _DIGITS) for share in shares]
