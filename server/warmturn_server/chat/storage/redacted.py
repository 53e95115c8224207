"""Turns without what was deleted of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..model import ItemId, Turn


def without_items(turn: Turn, items: Collection[ItemId]) -> Turn:
    """A response of which nothing is left can no longer be asked for."""
    output = tuple(item for item in turn.output if item.id not in items)
    return replace(
        turn,
        input=tuple(item for item in turn.input if item.id not in items),
        output=output,
        stored=turn.stored and bool(output),
    )


def without_quotes(turn: Turn) -> Turn:
    """A miss that a rewriting template caused quotes what was said before."""
    miss = turn.reply.report.get("miss") if turn.reply else None
    if turn.reply is None or not isinstance(miss, dict) or not miss.get("rewrite"):
        return turn
    report = {**turn.reply.report, "miss": {**miss, "rewrite": None}}
    return replace(turn, reply=replace(turn.reply, report=report))
