"""Misses as people read them: where reuse stopped, why, what it cost, and what stood there."""

from collections.abc import Iterator

from warmturn.format import milliseconds
from warmturn.report import Miss, Reading, Rewrite
from warmturn.wire import LoggedTurn

_WHY = {
    "evicted": "had to make room",
    "not_found": "was never saved, or is gone",
    "corrupt": "was damaged; it is deleted",
    "fingerprint": "was saved by another model or version",
    "store_unavailable": "could not be read",
    "recompute_faster": "would have taken longer to restore",
    "history_rewritten": "the template changed what was said before",
}


def miss_lines(number: int, turn: LoggedTurn) -> Iterator[str]:
    """One turn's miss; `number` counts the conversation's answered turns from 1. Nothing if there was none."""
    if (miss := turn.report.miss) is None:
        return
    yield f"turn {number}: reuse stopped at token {miss.at_token:,} of {turn.report.prompt_tokens:,}: {_reason(miss)}"
    if miss.lost_tokens:
        cost = "" if miss.cost_ms is None else f", about {milliseconds(miss.cost_ms)}"
        restore = "" if miss.restore_ms is None else f" instead of {milliseconds(miss.restore_ms)} of restoring"
        yield f"  {miss.lost_tokens:,} tokens computed again{cost}{restore}"
    if miss.promise is not None:
        yield f"  it was promised to stay, and went all the same: {miss.promise.replace('_', ' ')}"
    if miss.rewrite is not None:
        yield from _rewrite_lines(miss.rewrite)


def _reason(miss: Miss) -> str:
    block = f"block {miss.block}" if miss.block else ""
    tier = f"in {miss.tier}" if miss.tier else ""
    place = f"{block} {tier}".strip()
    return f"{miss.reason.replace('_', ' ')} ({', '.join(filter(None, (place, _WHY.get(miss.reason))))})"


def _rewrite_lines(rewrite: Rewrite) -> Iterator[str]:
    yield f"  from token {rewrite.at_token:,} on the text is another; the parting is marked with |"
    yield f"  was  {_reading(rewrite.expected)}"
    yield f"  now  {_reading(rewrite.got)}"


def _reading(reading: Reading) -> str:
    """Quoted, so that line breaks and what steers a terminal are seen and not done."""
    if reading.token_id is None:
        token = "the end"
    else:
        token = f"id {reading.token_id} {'(part of a character)' if reading.token is None else repr(reading.token)}"
    return f"{token}: {repr(reading.before)[1:-1]}|{repr(reading.after)[1:-1]}"
