"""The network's size and the stages of its training."""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Stage:
    until_tokens: int
    mix: Mix


SHAPE = Shape(hidden=256, layers=4, heads=4, mlp=512)
RATES = Rates(matrices=0.003, others=0.002)
STAGES = (
    Stage(4_000_000, Mix(length=512, rows=8, max_facts=10, drills=0.05, skipped=0.6)),
    Stage(6_300_000, Mix(length=1024, rows=4, max_facts=14, drills=0.03, skipped=0.6)),
    Stage(7_000_000, Mix(length=2048, rows=2, max_facts=20, drills=0.03, skipped=0.5)),
    Stage(7_300_000, Mix(length=512, rows=8, max_facts=12, drills=0.03, skipped=0.5)),
)
