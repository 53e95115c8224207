"""How many turns were answered within which time."""

from collections.abc import Mapping, Sequence

from warmturn.format import milliseconds
from warmturn.wire import ReuseMode
from warmturn_bench.report.axes import Area, Axis, as_percent, frame, in_milliseconds, marked, picture
from warmturn_bench.report.scale import Linear, Logarithmic, shares
from warmturn_bench.report.svg import element, step_path
from warmturn_bench.resampling import percentile


def distribution(area: Area, ttft_ms: Mapping[ReuseMode, Sequence[float]], target_ms: float) -> str:
    """Cumulative, over a logarithmic time axis. `ttft_ms` by mode; empty where nothing was measured."""
    series = {mode: sorted(times) for mode, times in ttft_ms.items() if times}
    if not series:
        return ""
    lowest = max(min(times[0] for times in series.values()), 0.1)
    highest = max(times[-1] for times in series.values())
    x = Logarithmic(lowest / 1.15, highest * 1.15, area.left, area.x_end, 5 if area.narrow else 10)
    y = shares(area.y_end, area.top + 8)
    written = Axis(x, "time to first text, logarithmic", in_milliseconds(0))
    axes = frame(area, written, Axis(y, "turns answered by then", as_percent))
    lines = "".join(_line(mode, times, x, y) for mode, times in reversed(series.items()))
    return picture(area, _description(series), axes, _target(area, x, target_ms), lines)


def _line(mode: str, times: Sequence[float], x: Logarithmic, y: Linear) -> str:
    steps = [(x(x.low), y(0.0)), *((x(time), y((rank + 1) / len(times))) for rank, time in enumerate(times))]
    return element("path", d=step_path([*steps, (x(x.high), y(1.0))]), class_=f"line {mode}")


def _target(area: Area, x: Logarithmic, target_ms: float) -> str:
    if not x.low < target_ms < x.high:
        return ""
    return marked(area, x(target_ms), f"target {milliseconds(target_ms)}")


def _description(series: Mapping[ReuseMode, Sequence[float]]) -> str:
    half = (f"{mode} {milliseconds(percentile(times, 50) or 0.0)}" for mode, times in series.items())
    return f"Half of the turns had their first text within: {', '.join(half)}."
