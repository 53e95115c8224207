"""What the tiers held, as the run went on."""

from collections.abc import Sequence
from itertools import pairwise

from warmturn.format import byte_size
from warmturn.wire import TIERS
from warmturn_bench.report.axes import Area, Axis, LineEnd, frame, in_bytes, in_seconds, marked, names_at_ends, picture
from warmturn_bench.report.scale import Linear, bytes_from_zero, exactly
from warmturn_bench.report.svg import element, line_path
from warmturn_bench.sample import TierMoment


def tier_bytes(area: Area, moments: Sequence[TierMoment], kills: Sequence[float]) -> str:
    """Lines over the seconds of the run. Empty where the server was not asked or did not say."""
    names = [name for name in TIERS if any(moment.bytes_by_tier.get(name) for moment in moments)]
    if len(moments) < 2 or not names:
        return ""
    highest = max(max(moment.bytes_by_tier.values()) for moment in moments)
    x = exactly(0, moments[-1].second, area.left, area.x_end - 4, 5 if area.narrow else 9)
    y = bytes_from_zero(highest, area.y_end, area.top + 8)
    axes = frame(area, Axis(x, "seconds of the run", in_seconds), Axis(y, "saved state held", in_bytes))
    lines = "".join(_line(name, life, x, y) for life in _lives(moments, kills) for name in names)
    ends = [LineEnd(name, name, y(moments[-1].bytes_by_tier.get(name, 0))) for name in names]
    marks = "".join(marked(area, x(kill), "killed") for kill in kills)
    return picture(area, _description(moments[-1], names), axes, marks, lines, names_at_ends(area, ends))


def _lives(moments: Sequence[TierMoment], kills: Sequence[float]) -> list[list[TierMoment]]:
    """One after the other, for each time that the server lived: nothing is known of what lay between."""
    edges = [float("-inf"), *kills, float("inf")]
    lives = ([one for one in moments if low <= one.second < high] for low, high in pairwise(edges))
    return [life for life in lives if life]


def _line(name: str, moments: Sequence[TierMoment], x: Linear, y: Linear) -> str:
    points = [(x(one.second), y(one.bytes_by_tier.get(name, 0))) for one in moments]
    return element("path", d=line_path(points), class_=f"line {name}")


def _description(last: TierMoment, names: Sequence[str]) -> str:
    held = (f"{name} {byte_size(last.bytes_by_tier.get(name, 0))}" for name in names)
    return f"Held at the end: {', '.join(held)}."
