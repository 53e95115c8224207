"""The main picture: how long the first text takes as conversations grow, in each mode."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from warmturn.format import milliseconds
from warmturn_bench.report.axes import Area, Axis, LineEnd, as_count, frame, in_milliseconds, names_at_ends, picture
from warmturn_bench.report.scale import Linear, counting, spanning
from warmturn_bench.report.svg import band_path, element, line_path, tooltip
from warmturn_bench.resampling import percentile
from warmturn_bench.sample import Sample

_FEWEST = 3
"""Conversations that a point should rest on, where there are that many at all."""


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """Of one turn number, over all conversations, in milliseconds."""

    turn: int
    count: int
    low: float
    median: float
    high: float


def by_turn(samples: Sequence[Sample], mode: str) -> list[TurnTimes]:
    """The median and the middle half of each turn that enough conversations reached."""
    times: dict[int, list[float]] = defaultdict(list)
    for sample in samples:
        if sample.asked.mode == mode and sample.ttft_ms is not None:
            times[sample.asked.turn].append(sample.ttft_ms)
    most = max(map(len, times.values()), default=0)
    return [
        TurnTimes(turn + 1, len(seen), *(percentile(seen, percent) or 0.0 for percent in (25, 50, 75)))
        for turn, seen in sorted(times.items())
        if len(seen) >= min(_FEWEST, most)
    ]


def ttft_by_turn(area: Area, samples: Sequence[Sample], modes: Sequence[str]) -> str:
    """Empty where nothing was measured."""
    series = {mode: times for mode in modes if (times := by_turn(samples, mode))}
    if not series:
        return ""
    highest = max(times.high for one in series.values() for times in one)
    last = max(one[-1].turn for one in series.values())
    x = counting(1, max(last, 2), area.left + 10, area.x_end - 4, 8 if area.narrow else 14)
    y = spanning(0, highest, area.y_end, area.top + 8)
    axes = frame(
        area, Axis(x, "turn of the conversation", as_count), Axis(y, "time to first text", in_milliseconds(y.high))
    )
    drawn = "".join(_drawn(mode, times, x, y) for mode, times in reversed(series.items()))
    ends = [LineEnd(mode, mode, y(times[-1].median)) for mode, times in series.items()]
    return picture(area, _description(series), axes, drawn, names_at_ends(area, ends))


def _drawn(mode: str, times: Sequence[TurnTimes], x: Linear, y: Linear) -> str:
    low = [(x(one.turn), y(one.low)) for one in times]
    high = [(x(one.turn), y(one.high)) for one in times]
    middle = [(x(one.turn), y(one.median)) for one in times]
    band = element("path", d=band_path(low, high), class_=f"band {mode}")
    line = element("path", d=line_path(middle), class_=f"line {mode}")
    return band + line + "".join(_dot(mode, one, x(one.turn), y(one.median)) for one in times)


def _dot(mode: str, one: TurnTimes, x: float, y: float) -> str:
    said = f"turn {one.turn}, {mode}: {milliseconds(one.median)} (median of {one.count})"
    return element("circle", tooltip(said), cx=x, cy=y, r=3.2, class_=f"dot {mode}")


def _description(series: dict[str, list[TurnTimes]]) -> str:
    ends = (
        f"{mode} from {milliseconds(times[0].median)} to {milliseconds(times[-1].median)}"
        for mode, times in series.items()
    )
    return f"Median time to first text from the first turn to the last: {', '.join(ends)}."
