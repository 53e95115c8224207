"""The screen, from top to bottom in the order in which people look. It fits 80x24, and gives up what is least needed
in a narrower window."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from warmturn.cli.console import visible
from warmturn.cli.watch.sample import Sample
from warmturn.cli.watch.sparkline import sparkline
from warmturn.cli.watch.watcher import Watcher
from warmturn.doubts import Doubt, doubts
from warmturn.format import PALETTE, byte_size, known_count, known_size, milliseconds
from warmturn.savings import of_server
from warmturn.wire import AUDIT_RESULTS, REUSE_MODES, TIERS, figure_at

_LABEL = 10
_COLUMNS = 36
_GAP = "  "
_BAR = 24
_SPEEDS = (("computed", "tokens_prefilled", "computed"), ("generated", "tokens_generated", "state"))
_WIDE_ENOUGH_FOR_LINES = 44
_MARKS = {False: "†", True: "*"}
"""Of what is uncertain, by whether there are only ASCII characters."""


class Screen:
    """Drawn anew for the size that the window has then; `drawn_for` is the one it had the last time."""

    def __init__(self, watcher: Watcher) -> None:
        self.drawn_for: tuple[int, int] = (0, 0)
        self._watcher = watcher

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.drawn_for = console.size
        width, height = options.max_width, options.height or console.height
        lines = list(_lines(self._watcher, width, ascii_only=options.ascii_only))[:height]
        for index, line in enumerate(lines):
            line.truncate(width, overflow="crop" if options.ascii_only else "ellipsis")
            yield from line.render(console)
            if index < len(lines) - 1:
                yield Segment.line()


def _lines(watcher: Watcher, width: int, *, ascii_only: bool) -> Iterator[Text]:
    sample = watcher.answered
    if sample is None:
        yield Text(f"no answer yet from {watcher.address}")
        return
    room = max(width - _COLUMNS - len(_GAP), 0) if width >= _WIDE_ENOUGH_FOR_LINES else 0

    def line(values: Iterable[float | None]) -> str:
        return sparkline(list(values), room, ascii_only=ascii_only)

    yield _head(watcher, sample)
    yield _work(watcher, sample)
    yield Text(
        f"{'tokens':<{_LABEL}}{'a second':>9}{_GAP}computed: recomputation in mode nothing included", style="dim"
    )
    for label, name, style in _SPEEDS:
        past = line(getattr(each.rates, name) for each in watcher.samples)
        yield _with_past(label, f"{_rate(getattr(sample.rates, name)):>9}", past, style)
    yield Text()
    uncertain = doubts(sample.figures, watcher.a_minute_ago, written=_seconds)
    yield _first_text(uncertain)
    for mode in REUSE_MODES:
        yield _ttft(sample, mode, line(each.recent(mode, "ttft_ms", "p50") for each in watcher.samples))
    yield Text()
    yield from _reuse(sample, ascii_only=ascii_only)
    yield Text()
    yield from _tiers(sample)
    yield Text()
    yield from _saved(sample, [doubt for doubt in uncertain if doubt.about == "saved"], _MARKS[ascii_only])
    yield from _audits(sample)
    yield _named("misses", (f"{value:,} {name.replace('_', ' ')}" for name, value in _counts(sample, "misses")))
    yield from (_why(doubt, _MARKS[ascii_only]) for doubt in uncertain if doubt.about == "saved")


def _head(watcher: Watcher, sample: Sample) -> Text:
    figures = sample.figures
    model, dtype = figure_at(figures, "model"), figure_at(figures, "dtype")
    up = "" if sample.uptime_seconds is None else f" · up {_duration(sample.uptime_seconds)}"
    return Text.assemble((visible(str(model)), "bold"), (f" · {visible(str(dtype))} · {watcher.address}{up}", "dim"))


def _work(watcher: Watcher, sample: Sample) -> Text:
    latest = watcher.samples[-1]
    if latest.figures is None:
        return Text(f"no answer since {_clock(sample.time)}; trying again ({visible(latest.error)})", style="bold red")
    running, waiting = (known_count(figure_at(sample.figures, name)) for name in ("running", "waiting"))
    done = known_count(figure_at(sample.figures, "totals", "turns"))
    text = Text(f"{running} running, {waiting} waiting · {_rate(sample.rates.turns)} turns/s · {done} done")
    return text.append(f" · {watcher.note}" if watcher.note else "", style="yellow")


def _first_text(uncertain: list[Doubt]) -> Text:
    head = Text(f"{'first text':<{_LABEL}}{'p50':>9}{'p95':>9}{'turns':>8}{_GAP}last minute", style="dim")
    for doubt in uncertain:
        if doubt.about == "first text":
            head.append(f", {doubt.words}", style="yellow")
    return head


def _ttft(sample: Sample, mode: str, past: str) -> Text:
    p50, p95 = (_ms(sample.recent(mode, "ttft_ms", name)) for name in ("p50", "p95"))
    figures = f"{p50:>9}{p95:>9}{known_count(sample.recent(mode, 'turns')):>8}"
    return _with_past(mode, figures, past, mode)


def _with_past(label: str, figures: str, past: str, style: str) -> Text:
    return Text.assemble(
        (f"{label:<{_LABEL}}", "bold"), f"{figures:<{_COLUMNS - _LABEL}}{_GAP}", (past, PALETTE[style])
    )


def _reuse(sample: Sample, *, ascii_only: bool) -> Iterator[Text]:
    """The bar is all prompt tokens since start: what came from each tier, and what was computed."""
    shares = sample.hit_shares()
    reused = "–" if not shares else f"{1 - shares.get('computed', 0.0):.0%}"
    text = Text.assemble((f"{'reused':<{_LABEL}}", "bold"), f"{reused:>9}  ")
    for source in (*TIERS, "computed"):
        mark = "#" if ascii_only else ("░" if source == "computed" else "█")
        text.append(mark * round(_BAR * shares.get(source, 0.0)), style=PALETTE[source])
    yield text.append(f"{_GAP}of prompt tokens in all modes", style="dim")
    named = (f"{shares[source]:.0%} {source}" for source in (*TIERS, "computed") if source in shares)
    yield Text(" " * _LABEL + " · ".join(named), style="dim")


def _tiers(sample: Sample) -> Iterator[Text]:
    yield Text(f"{'tier':<{_LABEL}}{'held':>11}{'of':>11}  reads at", style="dim")
    for name, tier in _counts(sample, "tiers"):
        held, budget = (known_size(figure_at(tier, part)) for part in ("bytes", "budget_bytes"))
        speed = figure_at(tier, "bytes_per_second")
        rate = "–" if speed is None else f"{byte_size(speed)}/s"
        off = figure_at(tier, "available") is False
        yield Text.assemble(
            (f"{name:<{_LABEL}}", PALETTE.get(name, "")),
            f"{held:>11}{budget:>11}  ",
            ("switched off after a failure", "bold red") if off else rate,
        )


def _saved(sample: Sample, uncertain: list[Doubt], mark: str) -> Iterator[Text]:
    """What is surest, and what is next to it; with a mark where it is uncertain, and the last lines say why."""
    known = [saved.sentence(_seconds) for saved in of_server(sample.figures)[:2]] or ["not known yet"]
    for number, sentence in enumerate(known):
        yield _named("" if number else "saved", [sentence]).append(f" {mark}" if uncertain else "", style="yellow")


def _why(doubt: Doubt, mark: str) -> Text:
    return Text.assemble((f"{mark:>{_LABEL - 1}} ", "yellow"), (doubt.words, "dim"))


def _audits(sample: Sample) -> Iterator[Text]:
    """What audits found, where a server makes them."""
    audits = figure_at(sample.figures, "audits")
    if audits and any(audits.get(result) for result in AUDIT_RESULTS):
        told = _named("audits", (f"{audits.get(result, 0):,} {result}" for result in AUDIT_RESULTS))
        yield told if not audits.get("breach") else Text(told.plain, style="bold red")


def _named(label: str, parts: Iterable[str]) -> Text:
    return Text.assemble((f"{label:<{_LABEL}}", "bold"), visible(" · ".join(parts)) or "none")


def _counts(sample: Sample, name: str) -> list[tuple[str, Any]]:
    found = figure_at(sample.figures, name)
    return list(found.items()) if isinstance(found, dict) else []


def _ms(value: float | None) -> str:
    return "–" if value is None else milliseconds(value)


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return milliseconds(1000 * value) if abs(value) < 100 else _duration(value)


def _rate(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 9.95 or value == 0 else f"{value:.1f}"


def _duration(seconds: float) -> str:
    sign, whole = ("-" if seconds < 0 else ""), int(abs(seconds))
    if whole < 60:
        return f"{sign}{whole} s"
    minutes, left = divmod(whole, 60)
    if minutes < 60:
        return f"{sign}{minutes} min {left} s"
    return f"{sign}{minutes // 60:,} h" + (f" {minutes % 60} min" if minutes < 6000 else "")


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
