"""What was found in a data folder, for people and for scripts. Names only: nothing of it quotes what was said."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from warmturn.format import byte_size

_MOST_NAMED: Final = 20


def lines(findings: Any) -> Iterator[str]:
    yield f"{findings.data_dir}{': a server uses it now' if findings.in_use else ''}"
    yield from _log(findings.log)
    yield from _state(findings)
    yield "sound" if findings.is_sound else "DAMAGED"


def as_json(findings: Any) -> dict[str, Any]:
    log, state = findings.log, findings.state
    return {
        "data_dir": str(findings.data_dir),
        "in_use": findings.in_use,
        "sound": findings.is_sound,
        "log": log
        and {
            "schema": log.schema,
            "rows": log.rows,
            "damaged": list(log.damaged),
            "unreadable": list(log.unreadable),
            "lost_changes": log.lost_changes,
        },
        "state": {
            "blocks": state.num_blocks,
            "bytes": state.num_bytes,
            "models": len(state.models),
            "older": len(state.older),
            "damaged": [path.name for path in state.damaged],
            "dropped": findings.dropped,
        },
    }


def _log(log: Any) -> Iterator[str]:
    if log is None:
        yield "log: none here (one in Redis is not looked at)"
        return
    counts = ", ".join(f"{number:,} {table}s" for table, number in log.rows.items())
    yield f"log: schema {log.schema}, {counts or 'nothing readable'}"
    if log.lost_changes:
        yield f"  {log.lost_changes:,} changes that were acknowledged are not in it"
    yield from _named("damaged", log.damaged)
    if log.unreadable:
        whole = log.rows.get("conversation", 0) - len(log.unreadable)
        yield f"  {max(whole, 0):,} conversations can be read whole; these cannot:"
        yield from _named("", log.unreadable)


def _state(findings: Any) -> Iterator[str]:
    state = findings.state
    size = byte_size(state.num_bytes)
    yield f"state: {state.num_blocks:,} blocks ({size}) of {len(state.models)} models"
    if state.older:
        yield f"  {len(state.older):,} of another format: not used, evicted in time"
    if state.damaged:
        fate = (
            f"{findings.dropped:,} dropped" if findings.dropped else "never used, computed again (--drop removes them)"
        )
        yield f"  {len(state.damaged):,} damaged: {fate}"


def _named(what: str, names: Sequence[str]) -> Iterator[str]:
    for name in names[:_MOST_NAMED]:
        yield f"  {what} {name}" if what else f"    {name}"
    if len(names) > _MOST_NAMED:
        yield f"  and {len(names) - _MOST_NAMED:,} more"
