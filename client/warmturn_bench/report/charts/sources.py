"""Where the tokens of the prompts came from, as the run went on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil

from warmturn.wire import TIERS
from warmturn_bench.report.axes import Area, Axis, as_count, as_percent, frame, marked, picture
from warmturn_bench.report.scale import Linear, counting, shares
from warmturn_bench.report.svg import element, tooltip
from warmturn_bench.sample import Sample

COMPUTED, REUSED = "computed", "reused"
_BINS = 32


def sources_of(sample: Sample) -> dict[str, int] | None:
    """Prompt tokens by source; None where the server does not say."""
    if sample.prompt_tokens is None or sample.cached_tokens is None:
        return None
    reused = sample.cached_by_tier if sample.cached_by_tier is not None else {REUSED: sample.cached_tokens}
    return {**reused, COMPUTED: sample.prompt_tokens - sample.cached_tokens}


def sources_over_run(area: Area, samples: Sequence[Sample], kills: Sequence[float]) -> str:
    """Of the turns on saved state, in the order in which they were asked. Empty where nothing is known."""
    known = [(one, found) for one in samples if (found := sources_of(one)) is not None]
    if not known:
        return ""
    known.sort(key=lambda one: one[0].asked.sent)
    x = counting(0, len(known), area.left, area.x_end, 5 if area.narrow else 10)
    y = shares(area.y_end, area.top + 8)
    axes = frame(
        area, Axis(x, "turns on saved state, in order", as_count), Axis(y, "share of the prompt's tokens", as_percent)
    )
    bars = "".join(_bars([found for _, found in known], x, y))
    marks = "".join(marked(area, x(sum(one.asked.sent < kill for one, _ in known)), "killed") for kill in kills)
    return picture(area, _description([found for _, found in known]), axes, bars, marks)


def used_sources(samples: Sequence[Sample]) -> list[str]:
    """Those that anything came from, nearest first."""
    total = _total([found for one in samples if (found := sources_of(one)) is not None])
    others = [name for name in total if name not in (*TIERS, COMPUTED)]
    return [name for name in (*TIERS, *others, COMPUTED) if total[name]]


def _bars(found: Sequence[Mapping[str, int]], x: Linear, y: Linear) -> list[str]:
    size = ceil(len(found) / _BINS)
    edges = [*range(0, len(found), size), len(found)]
    return [_bar(first, last, _total(found[first:last]), x, y) for first, last in pairwise(edges)]


def _bar(first: int, last: int, tokens: Counter[str], x: Linear, y: Linear) -> str:
    stacked, drawn = 0.0, []
    names = [*TIERS, *(name for name in tokens if name not in (*TIERS, COMPUTED)), COMPUTED]
    for name in names:
        share = tokens[name] / (tokens.total() or 1)
        if share:
            said = f"turns {first + 1} to {last}: {tokens[name]:,} tokens {name} ({share:.0%})"
            top = y(stacked + share)
            drawn.append(
                element(
                    "rect",
                    tooltip(said),
                    x=x(first) + 0.5,
                    width=max(x(last) - x(first) - 1, 0.5),
                    y=top,
                    height=y(stacked) - top,
                    class_=f"area {name}",
                )
            )
        stacked += share
    return "".join(drawn)


def _total(found: Sequence[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in found:
        total.update(one)
    return total


def _description(found: Sequence[Mapping[str, int]]) -> str:
    total = _total(found)
    shares = (f"{name} {tokens / total.total():.0%}" for name, tokens in total.items() if tokens)
    return f"Of all prompt tokens: {', '.join(shares)}."
