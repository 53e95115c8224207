"""`/v1/stats` for people: what was reused, what that saved, and where state lies. What a server does not say is `?`."""

from collections.abc import Iterator
from typing import Any

from warmturn.figures import byte_size, milliseconds

Figures = dict[str, Any]
_AUDITS = ("clean", "breach", "inconclusive")


def stats_lines(figures: Figures) -> Iterator[str]:
    yield f"{_get(figures, 'model')}, {_get(figures, 'dtype')}, context {_count(_get(figures, 'context_length'))}"
    yield f"turns    {_turns(figures)}"
    yield f"tokens   {_by_name(_get(figures, 'prompt_tokens_by_source'))}"
    yield f"held in  {_by_name(_get(figures, 'conversation_turns'))}"
    yield f"saved    {_saved(_get(figures, 'saved_seconds'))}"
    if _get(figures, "controls", "measured_turns"):
        yield f"measured {_measured(_get(figures, 'controls'))}"
    if any((_get(figures, "audits", result) or 0) for result in _AUDITS):
        yield f"audits   {_by_name({result: _get(figures, 'audits', result) for result in _AUDITS})}"
    if misses := _get(figures, "misses"):
        yield f"misses   {_by_name(misses)}"
    yield ""
    yield from _table("mode", ("turns", "TTFT p50", "p95", "per token"), _modes(figures))
    yield ""
    yield from _table("tier", ("held", "of", "speed"), _tiers(figures))


def _turns(figures: Figures) -> str:
    done = _count(_get(figures, "totals", "turns"))
    return f"{done} done, {_count(_get(figures, 'running'))} running, {_count(_get(figures, 'waiting'))} waiting"


def _saved(seconds: Figures | None) -> str:
    return ", ".join(f"{milliseconds(1000 * value)} {name}" for name, value in (seconds or {}).items())


def _measured(controls: Figures) -> str:
    """What control turns say of the saving of all turns."""
    saved = _get(controls, "saved_seconds", "value")
    interval = _get(controls, "saved_seconds", "ci95")
    bounds = f" ({' to '.join(milliseconds(1000 * bound) for bound in interval)})" if interval else ""
    turns = f"from {_count(_get(controls, 'measured_turns'))} control turns"
    return f"{'?' if saved is None else milliseconds(1000 * saved)} saved{bounds}, {turns}"


def _by_name(counts: Figures | None) -> str:
    return ", ".join(f"{_count(count)} {name.replace('_', ' ')}" for name, count in (counts or {}).items()) or "no"


def _modes(figures: Figures) -> Iterator[tuple[str, ...]]:
    for mode, seen in (_get(figures, "by_reuse") or {}).items():
        times = (_get(seen, "ttft_ms", "p50"), _get(seen, "ttft_ms", "p95"), _get(seen, "decode_ms_per_token", "p50"))
        yield (mode, _count(_get(seen, "turns")), *("-" if ms is None else milliseconds(ms) for ms in times))


def _tiers(figures: Figures) -> Iterator[tuple[str, ...]]:
    for name, tier in (_get(figures, "tiers") or {}).items():
        speed = _get(tier, "bytes_per_second")
        rate = "-" if speed is None else f"{byte_size(speed)}/s"
        if _get(tier, "available") is False:
            rate = "switched off after a failure"
        yield (name, _size(_get(tier, "bytes")), _size(_get(tier, "budget_bytes")), rate)


def _table(corner: str, headings: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    lines = [(corner, *headings), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings) + 1)]
    for name, *cells in lines:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join([name.ljust(widths[0]), *padded])


def _get(figures: Figures | None, *path: str) -> Any:
    value: Any = figures
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:,}"


def _size(value: float | None) -> str:
    return "?" if value is None else byte_size(value)
