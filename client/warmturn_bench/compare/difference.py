"""How two runs of the same load differ, with intervals over the conversations that both of them held."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from warmturn.errors import SettingsError
from warmturn.wire import REUSE_MODES, ReuseMode
from warmturn_bench.by_conversation import ConversationFigures
from warmturn_bench.compare.document import Document
from warmturn_bench.resampling import Interval, drawn_again

Measured = Literal["ttft_ms", "e2e_ms"]
MEASURED: tuple[Measured, ...] = ("ttft_ms", "e2e_ms")
Both = tuple[ConversationFigures, ConversationFigures]


@dataclass(frozen=True, slots=True)
class Difference:
    """Means of a turn in milliseconds; `interval` is that of second minus first, None of too few conversations."""

    mode: ReuseMode
    measured: Measured
    first_ms: float
    second_ms: float
    interval: Interval | None

    @property
    def milliseconds(self) -> float:
        return self.second_ms - self.first_ms

    @property
    def is_clear(self) -> bool | None:
        return None if self.interval is None else not self.interval.spans_zero

    def as_dict(self) -> dict[str, Any]:
        bounds = self.interval and [round(self.interval.low, 3), round(self.interval.high, 3)]
        fields = {name: value for name, value in asdict(self).items() if name != "interval"}
        rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}
        return {**rounded, "difference_ms": round(self.milliseconds, 3), "ci95": bounds, "is_clear": self.is_clear}


@dataclass(frozen=True, slots=True)
class Comparison:
    """`conversations` of each mode were held to the same turn in both; those of one run alone are `left_out`."""

    first: Document
    second: Document
    conversations: dict[ReuseMode, int]
    left_out: int
    differences: tuple[Difference, ...]

    def other_circumstances(self) -> Iterator[str]:
        """What besides the run itself was not the same, as `dtype float32 and bfloat16`."""
        for name, first in _flat(self.first.place).items():
            second = _flat(self.second.place).get(name)
            if first != second:
                yield f"{name} {first} and {second}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "first": str(self.first.path),
            "second": str(self.second.path),
            "conversations": self.conversations,
            "conversations_left_out": self.left_out,
            "other_circumstances": list(self.other_circumstances()),
            "differences": [difference.as_dict() for difference in self.differences],
            "output_tokens_per_second": {
                mode: [each.tokens_per_second[mode] for each in (self.first, self.second)]
                for mode in self.conversations
            },
        }


def compare(first: Document, second: Document) -> Comparison:
    """Raises `SettingsError` where the two were not asked the same."""
    if unlike := [name for name, value in first.load.items() if second.load[name] != value]:
        asked = "; ".join(f"{name}: {first.load[name]} and {second.load[name]}" for name in unlike)
        raise SettingsError(
            f"{first.path} and {second.path} are of different loads ({asked}): compare runs of the same"
        )
    both = {mode: _both(first, second, mode) for mode in REUSE_MODES if mode in first.modes and mode in second.modes}
    held = {mode: pairs for mode, pairs in both.items() if pairs}
    if not held:
        raise SettingsError(f"{first.path} and {second.path} have no conversation in the same mode and length")
    longest = max(len(each.modes[mode]) for each in (first, second) for mode in held)
    return Comparison(
        first,
        second,
        conversations={mode: len(pairs) for mode, pairs in held.items()},
        left_out=longest - min(len(pairs) for pairs in held.values()),
        differences=tuple(_differences(held, first.seed)),
    )


def _both(first: Document, second: Document, mode: ReuseMode) -> list[Both]:
    others = second.modes[mode]
    pairs = ((one, others[number]) for number, one in first.modes[mode].items() if number in others)
    return [(one, other) for one, other in pairs if one.turns == other.turns]


def _differences(held: dict[ReuseMode, list[Both]], seed: int) -> Iterator[Difference]:
    for mode, pairs in held.items():
        turns = sum(one.turns for one, _ in pairs)
        for measured in MEASURED:
            sums = [(getattr(one, measured), getattr(other, measured), one.turns) for one, other in pairs]
            first, second = (sum(each[index] for each in sums) / turns for index in (0, 1))
            yield Difference(mode, measured, first, second, drawn_again(sums, _mean_difference, seed))


def _mean_difference(sums: Sequence[tuple[float, float, int]]) -> float:
    return sum(second - first for first, second, _ in sums) / sum(turns for _, _, turns in sums)


def _flat(place: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(place, dict):
        return {prefix: place}
    return {
        name: value for key, each in place.items() for name, value in _flat(each, f"{prefix} {key}".strip()).items()
    }
