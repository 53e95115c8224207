"""What a row of the fault suite is: something that must hold, tried again and again."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen: `counts` of several trials are added up, of each figure in `largest` the largest is kept."""

    counts: Counter[str] = field(default_factory=Counter)
    largest: dict[str, float] = field(default_factory=dict)

    def with_another(self, other: Self) -> Self:
        both = {name: max(self.largest.get(name, value), value) for name, value in other.largest.items()}
        return type(self)(self.counts + other.counts, {**self.largest, **both})


Trial = Callable[[int, random.Random], Outcome]
"""`trial(number, chance)`: one try. Depends on nothing but these two; raises AssertionError if it did not hold."""


@dataclass(frozen=True, slots=True)
class Row:
    """`rig(folder)` opens what is tried; after a failure it is opened anew, so that one trial does not spoil the next.

    `long`: the trials of the row's own command, at most forty minutes; `short`: those of a run of all tests.
    """

    name: str
    must_hold: str
    long: int
    short: int
    rig: Callable[[Path], AbstractContextManager[Trial]]


def chance(seed: int, number: int) -> random.Random:
    """Each trial's own, so that it can be tried alone, and that a run that was cut off goes on as it would have."""
    return random.Random(f"{seed}:{number}")
