"""What the run says about saved state, in one sentence; no more than its interval supports."""

from collections.abc import Mapping

from warmturn.format import CLEARLY, counted, milliseconds, times
from warmturn.savings import NO_CLEAR_DIFFERENCE
from warmturn.wire import ReuseMode
from warmturn_bench.resampling import LEAST_CONVERSATIONS, Interval
from warmturn_bench.stats import ModeFigures, Saved

Modes = Mapping[ReuseMode, ModeFigures]


def verdict(modes: Modes) -> str:
    """Of the wait for first text, with saved state against computing the whole prompt again. Says a loss as a gain."""
    if "state" not in modes or "prompt" not in modes:
        return "No verdict: that takes both modes, state and prompt."
    saved = modes["state"].saved
    if not saved.paired_turns:
        return "No verdict: no turn was answered both with saved state and without."
    seen = f"{counted(saved.paired_turns, 'turn')} of {counted(saved.paired_conversations, 'conversation')}"
    if saved.interval is None:
        return _of_few(saved, seen)
    return f"{_supported(saved, saved.interval)} ({seen}, 95% interval)."


def headline(modes: Modes) -> str:
    """The same as a title."""
    saved = modes["state"].saved if "state" in modes else Saved()
    if not saved.paired_turns:
        first = next(iter(modes.values()), None)
        median = first.ttft_p50 if first else None
        return "No turn was answered" if median is None else f"First text after {milliseconds(median)}"
    if saved.is_clear is False:
        return "No clear difference in when answers begin"
    if saved.interval is None:
        return f"In {counted(saved.paired_conversations, 'conversation')}, answers began {_by(saved)} with saved state"
    return f"With saved state, answers begin {_between(saved, saved.interval)}"


def _of_few(saved: Saved, seen: str) -> str:
    unclear = saved.is_clear is False
    found = NO_CLEAR_DIFFERENCE if unclear else f"first text came {_by(saved)} with saved state"
    return f"No verdict: {found} in {seen}; an interval takes {LEAST_CONVERSATIONS} conversations."


def _supported(saved: Saved, interval: Interval) -> str:
    if interval.spans_zero:
        between = _a_turn(saved, interval)
        return (
            f"{NO_CLEAR_DIFFERENCE.capitalize()}: with saved state first text comes between "
            f"{milliseconds(abs(between.low))} later and {milliseconds(between.high)} sooner a turn"
        )
    return f"With saved state first text comes {_between(saved, interval)}"


def _between(saved: Saved, interval: Interval) -> str:
    """`3.4x to 4.0x sooner`, or in milliseconds where that is hardly a factor; of an interval without zero in it."""
    gained = interval.low > 0
    factors = saved.times_interval or Interval(1.0, 1.0)
    bounds = factors if gained else Interval(1 / factors.high, 1 / factors.low)
    way = "sooner" if gained else "later"
    if bounds.low >= CLEARLY:
        return f"{_range(times(bounds.low), times(bounds.high))} {way}"
    turn = _a_turn(saved, interval if gained else interval.scaled(-1))
    low, high = sorted((turn.low, turn.high))
    return f"{_range(milliseconds(low), milliseconds(high))} {way} a turn"


def _by(saved: Saved) -> str:
    """What was measured, without an interval."""
    measured = saved.measured or 0.0
    factor = saved.times_sooner or 1.0
    way, factor = ("sooner", factor) if measured >= 0 else ("later", 1 / factor)
    if factor >= CLEARLY:
        return f"{times(factor)} {way}"
    return f"{milliseconds(1000 * abs(measured) / saved.paired_turns)} {way} a turn"


def _a_turn(saved: Saved, interval: Interval) -> Interval:
    """In milliseconds, of one turn on average."""
    return interval.scaled(1000 / saved.paired_turns)


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
