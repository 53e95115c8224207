"""What one mode's samples come to."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from warmturn.bench.percentiles import percentile, percentiles
from warmturn.bench.sample import Sample
from warmturn.bench.savings import Interval, interval, pairs, total
from warmturn.wire import ReuseMode


@dataclass(frozen=True, slots=True)
class Saved:
    """`measured` over the `paired_turns` only, `estimated` over all turns by the server's own cost model."""

    measured: float | None = None
    estimated: float | None = None
    interval: Interval | None = None
    paired_turns: int = 0


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
                "ci95": [rounded(saved.interval.low), rounded(saved.interval.high)] if saved.interval else None,
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
        }


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
        saved=_saved(samples, good, seed) if mode == "state" else Saved(),
    )


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _sum(samples: Sequence[Sample], count: Callable[[Sample], int | None]) -> int | None:
    found = total([count(sample) for sample in samples])
    return None if found is None else int(found)


def _by_tier(samples: Sequence[Sample]) -> dict[str, int] | None:
    if not samples or any(sample.cached_by_tier is None for sample in samples):
        return None
    total: Counter[str] = Counter()
    for sample in samples:
        total.update(sample.cached_by_tier or {})
    return dict(total)


def _misses(samples: Sequence[Sample]) -> dict[str, int] | None:
    """Why reuse stopped short, by reason; None where the server does not report reuse at all."""
    if _by_tier(samples) is None:
        return None
    return dict(Counter(sample.miss for sample in samples if sample.miss is not None))


def _saved(samples: Sequence[Sample], state: Sequence[Sample], seed: int) -> Saved:
    made = pairs(samples)
    estimates = [sample.saved_ms for sample in state]
    return Saved(
        measured=sum(pair.saved_seconds for pair in made) if made else None,
        estimated=total(estimates, 1 / 1000),
        interval=interval(made, seed) if made else None,
        paired_turns=len(made),
    )
