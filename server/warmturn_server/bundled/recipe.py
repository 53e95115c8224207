"""The network's size and the stages of its training."""

from dataclasses import dataclass
from typing import NamedTuple

from .batches import Mix


class Shape(NamedTuple):
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    mlp: int = 512


@dataclass(frozen=True)
class Stage:
    until_tokens: int
    mix: Mix


STAGES = (
    Stage(4_000_000, Mix(length=512, rows=8, max_facts=10, drills=0.05, skipped=0.6)),
    Stage(4_600_000, Mix(length=1024, rows=4, max_facts=14, drills=0.03, skipped=0.6)),
    Stage(5_200_000, Mix(length=2048, rows=2, max_facts=20, drills=0.03, skipped=0.5)),
)
