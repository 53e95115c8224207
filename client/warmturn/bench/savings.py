"""Seconds that saved state saved: the same turn, measured in two modes of one run."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from warmturn.bench.percentiles import percentile
from warmturn.bench.sample import Sample
from warmturn.wire import ReuseMode

LEAST_CONVERSATIONS = 5
"""Below this a bootstrap has too few different samples to say anything."""
_RESAMPLES, _DRAWS = 2000, 400_000
"""At most so many resamples, and so many draws in all: thousands of conversations must not take minutes."""
_POINTS = 40


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A turn that was answered both ways. `second` is when the one on saved state ended."""

    conversation: int
    second: float
    saved_seconds: float
    estimated_seconds: float | None


@dataclass(frozen=True, slots=True)
class SavedBy:
    """What had been saved once so many turns were answered both ways."""

    turns: int
    measured: float
    estimated: float | None
    interval: Interval | None


def pairs(samples: Sequence[Sample], baseline: ReuseMode = "prompt") -> list[Pair]:
    """Each turn's time to first text in the baseline minus the one on saved state; negative where reuse lost."""
    by_turn = _by_turn(samples, baseline)
    made = []
    for key, state in _by_turn(samples, "state").items():
        other = by_turn.get(key)
        if other is not None and state.ttft_ms is not None and other.ttft_ms is not None:
            estimated = None if state.saved_ms is None else state.saved_ms / 1000
            saved = (other.ttft_ms - state.ttft_ms) / 1000
            made.append(Pair(key[0], state.ended or 0.0, saved, estimated))
    return sorted(made, key=lambda pair: pair.second)


def interval(made: Sequence[Pair], seed: int) -> Interval | None:
    """95% interval of the total, by drawing whole conversations with replacement: turns of one are not independent.

    The percentile bootstrap of Efron and Tibshirani (1993), chapter 13. None of fewer than five conversations.
    """
    totals = _totals(made)
    if len(totals) < LEAST_CONVERSATIONS:
        return None
    rng = Random(f"{seed} bootstrap")
    resamples = min(_RESAMPLES, max(_DRAWS // len(totals), 100))
    drawn = [sum(rng.choices(totals, k=len(totals))) for _ in range(resamples)]
    return Interval(percentile(drawn, 2.5) or 0.0, percentile(drawn, 97.5) or 0.0)


def saved_over_time(made: Sequence[Pair], seed: int) -> list[SavedBy]:
    """Running totals in the order in which turns on saved state ended, with the interval of what was known by then."""
    course = []
    for end in _ends(len(made)):
        so_far = made[:end]
        course.append(
            SavedBy(
                end,
                sum(pair.saved_seconds for pair in so_far),
                total([pair.estimated_seconds for pair in so_far]),
                interval(so_far, seed),
            )
        )
    return course


def total(values: Sequence[float | None], scale: float = 1) -> float | None:
    """Unknown as soon as one of them is: a sum of the others would pass for all. Unknown of nothing, too."""
    known = [value for value in values if value is not None]
    return sum(known) * scale if known and len(known) == len(values) else None


def _ends(count: int) -> list[int]:
    return sorted({max(round(count * point / _POINTS), 1) for point in range(1, _POINTS + 1)}) if count else []


def _totals(made: Sequence[Pair]) -> list[float]:
    totals: dict[int, float] = defaultdict(float)
    for pair in made:
        totals[pair.conversation] += pair.saved_seconds
    return list(totals.values())


def _by_turn(samples: Sequence[Sample], mode: ReuseMode) -> Mapping[tuple[int, int], Sample]:
    return {
        (one.asked.conversation, one.asked.turn): one for one in samples if one.asked.mode == mode and one.error is None
    }
