"""Seconds saved, adding up."""

from collections.abc import Sequence

from warmturn_bench.report.axes import Area, Axis, LineEnd, as_count, frame, in_seconds, names_at_ends, picture
from warmturn_bench.report.scale import Linear, counting, spanning
from warmturn_bench.report.svg import band_path, element, line_path
from warmturn_bench.stats import SavedBy

MEASURED, ESTIMATED = "measured", "estimated"


def saved_over_run(area: Area, course: Sequence[SavedBy]) -> str:
    """Measured with its interval, and the server's own estimate. Empty where nothing was measured both ways."""
    if not course:
        return ""
    x = counting(0, course[-1].turns, area.left, area.x_end - 4, 5 if area.narrow else 10)
    y = spanning(min(_values(course)), max(_values(course)), area.y_end, area.top + 8)
    axes = frame(
        area, Axis(x, "turns answered both ways, in order", as_count), Axis(y, "seconds saved so far", in_seconds)
    )
    measured = [(x(one.turns), y(one.measured)) for one in course]
    estimated = [(x(one.turns), y(one.estimated)) for one in course if one.estimated is not None]
    lines = _line(estimated, ESTIMATED) + _line(measured, MEASURED)
    ends = [LineEnd(MEASURED, MEASURED, measured[-1][1])]
    ends += [LineEnd(ESTIMATED, ESTIMATED, estimated[-1][1])] if estimated else []
    return picture(area, _description(course[-1]), axes, _interval(course, x, y), lines, names_at_ends(area, ends))


def _line(points: Sequence[tuple[float, float]], style: str) -> str:
    return element("path", d=line_path(points), class_=f"line {style}") if points else ""


def _interval(course: Sequence[SavedBy], x: Linear, y: Linear) -> str:
    known = [(x(one.turns), one.interval) for one in course if one.interval]
    low = [(at, y(interval.low)) for at, interval in known]
    high = [(at, y(interval.high)) for at, interval in known]
    return element("path", d=band_path(low, high), class_=f"band {MEASURED}") if len(known) > 1 else ""


def _values(course: Sequence[SavedBy]) -> list[float]:
    intervals = [one.interval for one in course if one.interval]
    ends = [end for interval in intervals for end in (interval.low, interval.high)]
    return [one.measured for one in course] + [one.estimated or 0.0 for one in course] + ends


def _description(last: SavedBy) -> str:
    between = f", 95% interval {last.interval.low:.1f} to {last.interval.high:.1f}" if last.interval else ""
    return f"Saved by the end: {last.measured:.1f} seconds{between}."
