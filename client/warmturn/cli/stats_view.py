"""`/v1/stats` for people: what was reused, what that saved, and where state lies. What a server does not say is `?`."""

from collections.abc import Iterator
from typing import Any

from warmturn.format import byte_size, known_count, known_size, milliseconds
from warmturn.wire import AUDIT_RESULTS, figure_at

Figures = dict[str, Any]
_TIMES = (("ttft_ms", "p50"), ("ttft_ms", "p95"), ("decode_ms_per_token", "p50"))


def stats_lines(figures: Figures) -> Iterator[str]:
    model, dtype, context = (figure_at(figures, name) for name in ("model", "dtype", "context_length"))
    yield f"{model}, {dtype}, context {known_count(context)}"
    yield f"turns    {_turns(figures)}"
    yield f"tokens   {_by_name(figure_at(figures, 'prompt_tokens_by_source'))}"
    yield f"held in  {_by_name(figure_at(figures, 'conversation_turns'))}"
    yield f"saved    {_saved(figure_at(figures, 'saved_seconds'))}"
    if figure_at(figures, "controls", "measured_turns"):
        yield f"measured {_measured(figure_at(figures, 'controls'))}"
    if any((figure_at(figures, "audits", result) or 0) for result in AUDIT_RESULTS):
        yield f"audits   {_by_name({result: figure_at(figures, 'audits', result) for result in AUDIT_RESULTS})}"
    if misses := figure_at(figures, "misses"):
        yield f"misses   {_by_name(misses)}"
    yield ""
    yield from _table("mode", ("turns", "TTFT p50", "p95", "per token"), _modes(figures))
    yield ""
    yield from _table("tier", ("held", "of", "speed"), _tiers(figures))


def _turns(figures: Figures) -> str:
    done = known_count(figure_at(figures, "totals", "turns"))
    running, waiting = (known_count(figure_at(figures, name)) for name in ("running", "waiting"))
    return f"{done} done, {running} running, {waiting} waiting"


def _saved(seconds: Figures | None) -> str:
    return ", ".join(f"{milliseconds(1000 * value)} {name}" for name, value in (seconds or {}).items())


def _measured(controls: Figures) -> str:
    """What control turns say of the saving of all turns."""
    saved = figure_at(controls, "saved_seconds", "value")
    interval = figure_at(controls, "saved_seconds", "ci95")
    bounds = f" ({' to '.join(milliseconds(1000 * bound) for bound in interval)})" if interval else ""
    turns = f"from {known_count(figure_at(controls, 'measured_turns'))} control turns"
    return f"{'?' if saved is None else milliseconds(1000 * saved)} saved{bounds}, {turns}"


def _by_name(counts: Figures | None) -> str:
    return ", ".join(f"{known_count(count)} {name.replace('_', ' ')}" for name, count in (counts or {}).items()) or "no"


def _modes(figures: Figures) -> Iterator[tuple[str, ...]]:
    for mode, seen in (figure_at(figures, "by_reuse") or {}).items():
        times = (figure_at(seen, *path) for path in _TIMES)
        yield (mode, known_count(figure_at(seen, "turns")), *("-" if ms is None else milliseconds(ms) for ms in times))


def _tiers(figures: Figures) -> Iterator[tuple[str, ...]]:
    for name, tier in (figure_at(figures, "tiers") or {}).items():
        speed = figure_at(tier, "bytes_per_second")
        rate = "-" if speed is None else f"{byte_size(speed)}/s"
        if figure_at(tier, "available") is False:
            rate = "switched off after a failure"
        yield (name, known_size(figure_at(tier, "bytes")), known_size(figure_at(tier, "budget_bytes")), rate)


def _table(corner: str, headings: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    lines = [(corner, *headings), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings) + 1)]
    for name, *cells in lines:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join([name.ljust(widths[0]), *padded])
