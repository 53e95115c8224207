"""`/v1/stats` for people: what was reused, what that saved, and where state lies. What a server does not say is `?`."""

from collections.abc import Iterator
from typing import Any

from warmturn.format import byte_size, known_count, known_size, milliseconds, of_seconds
from warmturn.savings import of_server
from warmturn.wire import AUDIT_RESULTS, figure_at

Figures = dict[str, Any]
_TIMES = (("ttft_ms", "p50"), ("ttft_ms", "p95"), ("decode_ms_per_token", "p50"))


def stats_lines(figures: Figures) -> Iterator[str]:
    model, dtype, context = (figure_at(figures, name) for name in ("model", "dtype", "context_length"))
    yield f"{model}, {dtype}, context {known_count(context)}"
    yield f"turns    {_turns(figures)}"
    yield f"tokens   {_by_name(figure_at(figures, 'prompt_tokens_by_source'))}"
    yield f"held in  {_by_name(figure_at(figures, 'conversation_turns'))}"
    yield from _saved(figures)
    if any((figure_at(figures, "audits", result) or 0) for result in AUDIT_RESULTS):
        yield f"audits   {_by_name({result: figure_at(figures, 'audits', result) for result in AUDIT_RESULTS})}"
    if misses := figure_at(figures, "misses"):
        yield f"misses   {_by_name(misses)}"
    if figure_at(figures, "promises", "promises"):
        yield f"promised {_promised(figures)}"
    yield ""
    yield from _table("mode", ("turns", "TTFT p50", "p95", "per token"), _modes(figures))
    yield ""
    yield from _table("tier", ("held", "of", "speed"), _tiers(figures))


def _turns(figures: Figures) -> str:
    done = known_count(figure_at(figures, "totals", "turns"))
    running, waiting = (known_count(figure_at(figures, name)) for name in ("running", "waiting"))
    return f"{done} done, {running} running, {waiting} waiting"


def _promised(figures: Figures) -> str:
    given, pins, held, most = (
        figure_at(figures, "promises", name) for name in ("promises", "pins", "bytes", "budget_bytes")
    )
    broken = sum((figure_at(figures, "promises", "broken") or {}).values())
    told = f"{known_count(given)} times, {known_count(pins)} of them pins: {known_size(held)} of {known_size(most)}"
    return f"{told}, {known_count(broken)} broken"


def _saved(figures: Figures) -> Iterator[str]:
    """What is surest first."""
    known = [saved.sentence(of_seconds) for saved in of_server(figures)]
    yield f"saved    {known[0] if known else 'not known yet'}"
    for sentence in known[1:]:
        yield f"         {sentence}"


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
