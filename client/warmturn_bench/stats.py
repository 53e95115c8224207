"""What samples come to: percentiles, seconds saved, and the figures of one mode."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmturn.wire import ReuseMode
from warmturn_bench.by_conversation import ConversationFigures, conversation_figures
from warmturn_bench.by_turn import TurnFigures, turn_figures
from warmturn_bench.resampling import Interval, drawn_again, percentile
from warmturn_bench.sample import Sample

PERCENTS = (50, 90, 95, 99)


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    return {f"p{percent}": rounded(percentile(values, percent), digits=2) for percent in PERCENTS}


def rounded(value: float | None, *, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


_POINTS = 40


@dataclass(frozen=True, slots=True)
class Pair:
    """A turn that was answered both ways: its wait for first text on saved state, and how much shorter that was.

    `second` is when the one on saved state ended.
    """

    conversation: int
    second: float
    waited_seconds: float
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
            made.append(Pair(key[0], state.ended or 0.0, state.ttft_ms / 1000, saved, estimated))
    return sorted(made, key=lambda pair: pair.second)


def interval(made: Sequence[Pair], seed: int) -> Interval | None:
    """95% interval of the total, by drawing whole conversations; None of fewer than five."""
    return drawn_again([saved for _, saved in _totals(made)], sum, seed)


def times_sooner(totals: Sequence[tuple[float, float]]) -> float:
    """Waits without saved state by waits with it; above 1 just where seconds were saved. Of `(waited, saved)` each."""
    waited, saved = (sum(part) for part in zip(*totals, strict=True))
    return (waited + saved) / waited if waited else 1.0


def makes_a_difference(made: Sequence[Pair], seed: int) -> bool | None:
    """Whether the interval of the total leaves out zero. Of too few conversations, by single turns; else None.

    Turns of one conversation are not independent: that is good enough to doubt, not to tell how much was saved.
    """
    found = interval(made, seed) or drawn_again([pair.saved_seconds for pair in made], sum, seed)
    return None if found is None else not found.spans_zero


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


def _totals(made: Sequence[Pair]) -> list[tuple[float, float]]:
    """Seconds waited on saved state, and saved, of each conversation."""
    totals: dict[int, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for pair in made:
        waited, saved = totals[pair.conversation]
        totals[pair.conversation] = (waited + pair.waited_seconds, saved + pair.saved_seconds)
    return list(totals.values())


def _by_turn(samples: Sequence[Sample], mode: ReuseMode) -> Mapping[tuple[int, int], Sample]:
    return {
        (one.asked.conversation, one.asked.turn): one for one in samples if one.asked.mode == mode and one.error is None
    }


@dataclass(frozen=True, slots=True)
class Saved:
    """`measured` over the `paired_turns` only, `estimated` over all turns by the server's own cost model.

    `is_clear`: whether what was measured can be told from no difference at all; None where too little was.
    `times_sooner`: the waits without saved state by those with it.
    """

    measured: float | None = None
    estimated: float | None = None
    interval: Interval | None = None
    paired_turns: int = 0
    paired_conversations: int = 0
    times_sooner: float | None = None
    times_interval: Interval | None = None
    estimated_interval: Interval | None = None
    is_clear: bool | None = None


@dataclass(frozen=True, slots=True)
class ModeFigures:
    """Turns that failed are in `errors` and nowhere else. None is unknown."""

    mode: ReuseMode
    turns: int
    errors: int
    errors_by_kind: dict[str, int]
    skipped: int
    seconds: float
    ttft_ms: tuple[float, ...]
    itl_ms: tuple[float, ...]
    e2e_ms: tuple[float, ...]
    prompt_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cached_by_tier: dict[str, int] | None
    misses: dict[str, int] | None
    good_turns: int
    conversations: tuple[ConversationFigures, ...]
    by_turn: tuple[TurnFigures, ...]
    saved: Saved

    @property
    def ttft_p50(self) -> float | None:
        return percentile(self.ttft_ms, 50)

    @property
    def output_tokens_per_second(self) -> float | None:
        if self.output_tokens is None or not self.seconds:
            return None
        return self.output_tokens / self.seconds

    @property
    def reused_share(self) -> float | None:
        return (
            self.cached_tokens / self.prompt_tokens if self.cached_tokens is not None and self.prompt_tokens else None
        )

    def as_dict(self) -> dict[str, Any]:
        saved = self.saved
        return {
            "turns": self.turns,
            "errors": self.errors,
            "ttft_ms": percentiles(self.ttft_ms),
            "itl_ms": percentiles(self.itl_ms),
            "e2e_ms": percentiles(self.e2e_ms),
            "output_tokens_per_second": rounded(self.output_tokens_per_second),
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens_by_tier": self.cached_by_tier,
            "saved_seconds": {
                "measured": rounded(saved.measured),
                "estimated": rounded(saved.estimated),
                "ci95": bounds(saved.interval),
                "estimated_ci95": bounds(saved.estimated_interval),
                "paired_turns": saved.paired_turns,
            },
            "cached_tokens": self.cached_tokens,
            "output_tokens": self.output_tokens,
            "errors_by_kind": self.errors_by_kind,
            "turns_not_asked": self.skipped,
            "misses": self.misses,
            "goodput": {
                "turns": self.good_turns,
                "share": rounded(self.good_turns / asked) if (asked := self.turns + self.errors) else None,
                "turns_per_second": rounded(self.good_turns / self.seconds) if self.seconds else None,
            },
            "seconds_under_load": rounded(self.seconds),
            "conversations": [each.as_dict() for each in self.conversations],
            "by_turn": [each.as_dict() for each in self.by_turn],
        }


def bounds(interval: Interval | None) -> list[float | None] | None:
    return [rounded(interval.low), rounded(interval.high)] if interval else None


def mode_figures(
    mode: ReuseMode, samples: Sequence[Sample], seconds: float, skipped: int, goodput_ttft_ms: float, seed: int
) -> ModeFigures:
    """`samples` of all modes: what was saved is known only beside the others."""
    mine = [sample for sample in samples if sample.asked.mode == mode]
    good = [sample for sample in mine if sample.error is None]
    errors = Counter(sample.error for sample in mine if sample.error is not None)
    ttft = tuple(sample.ttft_ms for sample in good if sample.ttft_ms is not None)
    return ModeFigures(
        mode=mode,
        turns=len(good),
        errors=errors.total(),
        errors_by_kind=dict(errors),
        skipped=skipped,
        seconds=seconds,
        ttft_ms=ttft,
        itl_ms=tuple(gap for sample in good for gap in sample.itl_ms),
        e2e_ms=tuple(sample.e2e_ms for sample in good if sample.e2e_ms is not None),
        prompt_tokens=_sum(good, lambda sample: sample.prompt_tokens),
        output_tokens=_sum(good, lambda sample: sample.output_tokens),
        cached_tokens=_sum(good, lambda sample: sample.cached_tokens),
        cached_by_tier=_by_tier(good),
        misses=_misses(good),
        good_turns=sum(time <= goodput_ttft_ms for time in ttft),
        conversations=conversation_figures(good),
        by_turn=turn_figures(good),
        saved=_saved(samples, good, seed) if mode == "state" else Saved(),
    )


def _sum(samples: Sequence[Sample], count: Callable[[Sample], int | None]) -> int | None:
    found = total([count(sample) for sample in samples])
    return None if found is None else int(found)


def _by_tier(samples: Sequence[Sample]) -> dict[str, int] | None:
    if not samples or any(sample.cached_by_tier is None for sample in samples):
        return None
    tokens: Counter[str] = Counter()
    for sample in samples:
        tokens.update(sample.cached_by_tier or {})
    return dict(tokens)


def _misses(samples: Sequence[Sample]) -> dict[str, int] | None:
    """Why reuse stopped short, by reason; None where the server does not report reuse at all."""
    if _by_tier(samples) is None:
        return None
    return dict(Counter(sample.miss for sample in samples if sample.miss is not None))


def _saved(samples: Sequence[Sample], state: Sequence[Sample], seed: int) -> Saved:
    made = pairs(samples)
    totals = _totals(made)
    return Saved(
        measured=sum(pair.saved_seconds for pair in made) if made else None,
        estimated=total([sample.saved_ms for sample in state], 1 / 1000),
        interval=interval(made, seed),
        paired_turns=len(made),
        paired_conversations=len(totals),
        times_sooner=times_sooner(totals) if made else None,
        times_interval=drawn_again(totals, times_sooner, seed),
        estimated_interval=_estimated_interval(state),
        is_clear=makes_a_difference(made, seed),
    )


def _estimated_interval(state: Sequence[Sample]) -> Interval | None:
    """The server's estimates err together, so that their bounds add up; what was measured has none."""
    bounds = [one.saved_ms_ci95 or (None if one.saved_ms is None else (one.saved_ms, one.saved_ms)) for one in state]
    low, high = (total([each and each[end] for each in bounds], 1 / 1000) for end in (0, 1))
    return None if low is None or high is None else Interval(low, high)
