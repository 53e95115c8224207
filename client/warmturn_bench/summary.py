"""The end of a run, for people at a terminal."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table

from warmturn.format import PALETTE, known_count, milliseconds, times
from warmturn.savings import NO_CLEAR_DIFFERENCE
from warmturn_bench.resampling import Interval, percentile
from warmturn_bench.result import BenchResult
from warmturn_bench.stats import PERCENTS, ModeFigures, Saved
from warmturn_bench.workload.scenario import AGENTS

_UNKNOWN = "?"
Row = tuple[str, Callable[[ModeFigures], str]]


def show(console: Console, result: BenchResult) -> None:
    there = result.circumstances
    print_line = partial(console.print, markup=False, soft_wrap=not console.is_terminal)
    print_line(f"{result.scenario}: {there.about}", style="bold")
    line = f"{result.model} at {result.url}, {there.load}, {_conversations(there.conversations)}, seed {there.seed}"
    print_line(line, style="dim")
    console.print(_table(result))
    for sentence in findings(result):
        print_line(f"  {sentence}")
    print_line(f"Verdict: {result.verdict}", style="bold")
    for promise in result.broken_promises():
        print_line(f"BROKEN: {promise}", style="bold red")


def findings(result: BenchResult) -> Iterator[str]:
    """What the figures say, in sentences; the report shows the same."""
    if result.partial:
        yield "Interrupted: this is a part of the run."
    yield from _sooner(result)
    if state := result.modes.get("state"):
        yield from _saved(state.saved)
        yield from _reused(state)
        yield from _by_step(result.scenario, state)
    yield from _answers(result)
    for mode, figures in result.modes.items():
        for kind, count in figures.errors_by_kind.items():
            yield f"Failed in mode {mode}: {count} turns, {kind}."
        if figures.skipped:
            yield f"Not asked in mode {mode}: {figures.skipped} turns, because one before them had failed."
    yield from result.circumstances.notes


def _sooner(result: BenchResult) -> Iterator[str]:
    state, prompt = result.modes.get("state"), result.modes.get("prompt")
    if state and prompt and state.ttft_p50 is not None and prompt.ttft_p50 is not None:
        factor = NO_CLEAR_DIFFERENCE if state.saved.is_clear is False else times(result.speedup_ttft or 0.0)
        yield (
            f"First text after {milliseconds(state.ttft_p50)} with saved state, after {milliseconds(prompt.ttft_p50)} "
            f"without (medians; {factor})."
        )


def _saved(saved: Saved) -> Iterator[str]:
    if saved.measured is not None:
        between = f", 95% interval {_between(saved.interval)}" if saved.interval else ""
        unclear = " That is no clear difference." if saved.is_clear is False else ""
        yield (
            f"Saved, measured: {saved.measured:.2f} s of waiting for first text over {saved.paired_turns} turns that "
            f"were answered both ways{between}.{unclear}"
        )
    if saved.estimated is not None:
        between = f" ({_between(saved.estimated_interval)})" if saved.estimated_interval else ""
        yield f"Saved, by the server's own estimate: about {saved.estimated:.2f} s{between}."


def _between(interval: Interval) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f} s"


def _reused(state: ModeFigures) -> Iterator[str]:
    if state.cached_tokens is None or state.prompt_tokens is None:
        yield "The server does not say how many prompt tokens it reused."
        return
    tiers = {tier: tokens for tier, tokens in (state.cached_by_tier or {}).items() if tokens}
    named = f" ({', '.join(f'{tokens:,} {tier}' for tier, tokens in tiers.items())})" if tiers else ""
    yield f"Reused: {state.cached_tokens:,} of {state.prompt_tokens:,} prompt tokens{named}."
    if state.misses:
        reasons = (f"{count} {reason.replace('_', ' ')}" for reason, count in state.misses.items())
        yield f"Reuse stopped early: {', '.join(reasons)}."


def _by_step(scenario: str, state: ModeFigures) -> Iterator[str]:
    """An agent's prompts grow by little each time: what is computed of them is the point."""
    if scenario in AGENTS and state.by_turn:
        steps = ", ".join(each.in_words for each in state.by_turn)
        yield f"Prompt tokens computed, step by step (averages): {steps}."


def _answers(result: BenchResult) -> Iterator[str]:
    if same := result.same_answers:
        yield f"Same answer: {same.same} of {same.compared} turns that were asked on the same history in several modes."


def _table(result: BenchResult) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for mode in result.modes:
        table.add_column(mode, justify="right", style=PALETTE[mode])
    for label, cells in rows(result):
        table.add_row(label, *cells)
    return table


def rows(result: BenchResult) -> Iterator[tuple[str, list[str]]]:
    """What is known of every mode, one cell for each; what is not known is a question mark."""
    for label, cell in _rows(result):
        yield label, [cell(figures) for figures in result.modes.values()]


def _rows(result: BenchResult) -> Iterator[Row]:
    yield "turns", lambda figures: f"{figures.turns:,}"
    yield "failed", lambda figures: f"{figures.errors:,}"
    yield from _percentiles("time to first text", lambda figures: figures.ttft_ms)
    yield from _percentiles("between pieces of text", lambda figures: figures.itl_ms)
    yield from _percentiles("whole turn", lambda figures: figures.e2e_ms)
    yield "output tokens a second", lambda figures: _number(figures.output_tokens_per_second)
    target = f"{result.circumstances.goodput_ttft_ms:g} ms"
    yield f"first text within {target}", lambda figures: _share(figures.good_turns, figures.turns + figures.errors)
    yield "prompt tokens", lambda figures: known_count(figures.prompt_tokens)
    yield "of them reused", lambda figures: known_count(figures.cached_tokens)
    yield "seconds saved, measured", lambda figures: _number(figures.saved.measured)


def _percentiles(label: str, values: Callable[[ModeFigures], Sequence[float]]) -> Iterator[Row]:
    for percent in PERCENTS:
        yield f"{label} p{percent}", partial(_percentile, values, percent)


def _percentile(values: Callable[[ModeFigures], Sequence[float]], percent: float, figures: ModeFigures) -> str:
    value = percentile(values(figures), percent)
    return _UNKNOWN if value is None else milliseconds(value)


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,.1f}"


def _conversations(count: int) -> str:
    return f"{count:,} conversation{'s' if count != 1 else ''}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else _UNKNOWN
