"""The network's size and what its training reads."""

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


SHAPE = Shape(hidden=384, layers=4, heads=6, mlp=1024)
RATES = Rates(matrices=0.0015, others=0.001)
TOKENS = 262_544_204
"""The plan by which the rate falls; the shipped weights are those of 93% of it (see the card)."""
STEP_TOKENS = 65_536

_SHORT = Mix(length=512, rows=128, max_facts=12, drills=0.04, skipped=0.6)
_MIDDLE = Mix(length=1024, rows=64, max_facts=16, drills=0.03, skipped=0.6)
_LONG = Mix(length=2048, rows=32, max_facts=24, drills=0.02, skipped=0.5)
_WHOLE = Mix(length=4096, rows=16, max_facts=30, drills=0.0, skipped=0.0)
MIXES = (_SHORT, _MIDDLE, _SHORT, _LONG, _SHORT, _MIDDLE, _SHORT, _WHOLE)
"""One step each, in turns; every step reads as many tokens."""
