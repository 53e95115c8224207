"""A comparison for people at a terminal."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from warmturn.format import PALETTE, milliseconds
from warmturn.savings import NO_CLEAR_DIFFERENCE
from warmturn_bench.compare.difference import Comparison, Difference
from warmturn_bench.resampling import LEAST_CONVERSATIONS

_NAMES = {"ttft_ms": "time to first text", "e2e_ms": "whole turn"}


def show(console: Console, found: Comparison) -> None:
    console.print(
        f"{found.first.path} and {found.second.path}", style="bold", markup=False, soft_wrap=not console.is_terminal
    )
    console.print(_table(found))
    for sentence in sentences(found):
        console.print(f"  {sentence}", markup=False, soft_wrap=not console.is_terminal)


def _table(found: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("mean of a turn")
    table.add_column("first", justify="right")
    table.add_column("second", justify="right")
    table.add_column("the second is")
    for one in found.differences:
        first, second = milliseconds(one.first_ms), milliseconds(one.second_ms)
        table.add_row(f"{one.mode}, {_NAMES[one.measured]}", first, second, in_words(one), style=PALETTE[one.mode])
    return table


def in_words(one: Difference) -> str:
    """`12 ms sooner (9.1 ms to 15 ms)`, or that nobody can tell."""
    if one.interval is None:
        return f"{_way(one)}; too few conversations to tell"
    if not one.is_clear:
        low, high = one.interval.low, one.interval.high
        return f"{NO_CLEAR_DIFFERENCE} ({milliseconds(abs(low))} sooner to {milliseconds(abs(high))} later)"
    low, high = sorted((abs(one.interval.low), abs(one.interval.high)))
    return f"{_way(one)} ({milliseconds(low)} to {milliseconds(high)})"


def _way(one: Difference) -> str:
    return f"{milliseconds(abs(one.milliseconds))} {'sooner' if one.milliseconds < 0 else 'later'}"


def sentences(found: Comparison) -> Iterator[str]:
    counts = ", ".join(f"{count:,} in {mode}" for mode, count in found.conversations.items())
    yield f"By conversations that both runs held: {counts}. Intervals hold 95%, from drawing whole conversations again."
    if found.left_out:
        yield f"Left out, because only one run has them or has them whole: {found.left_out:,} conversations."
    if min(found.conversations.values()) < LEAST_CONVERSATIONS:
        yield f"An interval takes {LEAST_CONVERSATIONS} conversations."
    for mode in found.conversations:
        speeds = [each.tokens_per_second[mode] for each in (found.first, found.second)]
        first, second = ("?" if speed is None else f"{speed:,.1f}" for speed in speeds)
        yield f"Output tokens a second in {mode}: {first} and {second} (one figure a run, no interval)."
    if other := list(found.other_circumstances()):
        yield f"Not the same either: {'; '.join(other)}."
