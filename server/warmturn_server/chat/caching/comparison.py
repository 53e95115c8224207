"""How a prompt differs from that of an earlier response, in the words of OpenAI's diagnostics, a closed list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..model import Item, Turn, TurnRequest
from ..parts import ToolCall, ToolResult
from ..transcript.records import Record

Parting = Literal["model_changed", "tools_changed", "reasoning_effort_changed", "context_compacted", "input_changed"]
"""What can part two prompts here. Of OpenAI's others none does: neither the cache key, the text's format, verbosity nor
service tier is part of a prompt."""
Diagnostics = dict[str, object]

NOT_FOUND: Diagnostics = {"type": "comparison_response_not_found"}
UNAVAILABLE: Diagnostics = {"type": "unavailable"}
"""Nothing that the caller did parts them: what this server lost is told in `warmturn.miss`."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Of the earlier response's `num_reusable` prompt tokens the new prompt has the first `num_common`, and parts there
    for a reason; without one, it goes on from all of them, or something else parts them."""

    num_reusable: int
    num_common: int
    parting: Parting | None = None

    def diagnostics(self, report: Mapping[str, Any], block_size: int) -> Diagnostics:
        """Of the turn that has this report."""
        num_tokens, cached = report["prompt_tokens"], report["cached_tokens"]
        if self.parting:
            return {
                "type": "cache_miss",
                "reason": self.parting,
                "cache_missed_tokens": num_tokens - self.num_common,
                "comparison_reusable_tokens": self.num_reusable,
            }
        reachable = min(self.num_common, num_tokens - 1)
        goes_on = self.num_common >= self.num_reusable
        is_whole = cached > 0 and cached >= reachable - reachable % block_size
        return {"type": "cache_hit"} if goes_on and is_whole else UNAVAILABLE


def compare(
    request: TurnRequest,
    prompt: tuple[Sequence[Item], tuple[int, ...], int],
    before: Sequence[Turn],
    record: Record,
    model_name: str,
) -> Compared | None:
    """`prompt`: its items, its token ids, and how many items were dropped. `before`: the turns up to the earlier one.

    None where nothing is known of the earlier one's tokens.
    """
    items, token_ids, dropped = prompt
    reply = before[-1].reply
    assert reply is not None, "only generated turns are responses"
    report: Mapping[str, Any] = reply.report
    reusable = report["prompt_tokens"]
    if reply.model != model_name:
        return Compared(reusable, 0, "model_changed")
    if not record.token_ids:
        return None
    common = _common(record.token_ids, token_ids)
    if common >= min(reusable, len(token_ids)):
        return Compared(reusable, common)
    if _tools(reply.echo) != _tools(request.echo):
        return Compared(reusable, common, "tools_changed")
    if _effort(reply.echo) != _effort(request.echo):
        return Compared(reusable, common, "reasoning_effort_changed")
    if report.get("dropped_items", 0) != dropped:
        return Compared(reusable, common, "context_compacted")
    return Compared(reusable, common, None if _goes_on(request, items, before) else "input_changed")


def _goes_on(request: TurnRequest, items: Sequence[Item], before: Sequence[Turn]) -> bool:
    """Whether the same was said before, so that only the template can have made another prompt of it."""
    reply = before[-1].reply
    assert reply is not None, "only generated turns are responses"
    said = [item for turn in before for item in turn.items][: -len(before[-1].output) or None]
    same = all(_said(one) == _said(other) for one, other in zip(said, items, strict=False))
    return same and len(said) <= len(items) and (reply.instructions or None) == (request.instructions or None)


def _said(item: Item) -> tuple[object, ...]:
    return item.role, item.text, *(part for part in item.content if isinstance(part, ToolCall | ToolResult))


def _tools(echo: Mapping[str, object]) -> object:
    return echo.get("tools") or []


def _effort(echo: Mapping[str, Any]) -> object:
    return (echo.get("reasoning") or {}).get("effort")


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (left, right) in pairs if left != right), min(len(one), len(other)))
