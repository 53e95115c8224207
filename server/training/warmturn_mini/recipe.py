"""The network's size and what its training reads."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from .batches import Mix


class Shape(NamedTuple):
    hidden: int
    layers: int
    heads: int
    mlp: int


class Rates(NamedTuple):
    matrices: float
    """Muon's learning rate."""
    others: float
    """AdamW's learning rate, for embeddings and norms."""


class Recipe(NamedTuple):
    rates: Rates
    mixes: Sequence[Mix]
    """One step each, in turns; every step reads as many tokens."""


SHAPE = Shape(hidden=384, layers=4, heads=6, mlp=1024)
TOKENS = 262_544_204
"""The plan by which the rate falls; b of the card stopped at 93% of it."""

_SHORT = Mix(length=512, rows=128, max_facts=12, drills=0.04, skipped=0.6)
_MIDDLE = Mix(length=1024, rows=64, max_facts=16, drills=0.03, skipped=0.6)
_LONG = Mix(length=2048, rows=32, max_facts=24, drills=0.02, skipped=0.5)
_WHOLE = Mix(length=4096, rows=16, max_facts=30, drills=0.0, skipped=0.0)
FROM_NOISE = Recipe(
    Rates(matrices=0.0015, others=0.001), (_SHORT, _MIDDLE, _SHORT, _LONG, _SHORT, _MIDDLE, _SHORT, _WHOLE)
)


def _shorter(mix: Mix) -> Mix:
    """A sixteenth of the rows, more to tell in them, for what is asked is known already, and many a summary."""
    return replace(mix, rows=mix.rows // 16, max_facts=20, drills=0.35, summaries=0.9)


GOING_ON = Recipe(
    Rates(matrices=0.0008, others=0.0005), tuple(_shorter(mix) for mix in (_SHORT, _MIDDLE, _SHORT, _LONG, _SHORT))
)
