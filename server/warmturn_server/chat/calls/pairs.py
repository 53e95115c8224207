"""Calls and their results belong together."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InvalidRequest
from ..model import Item


def paired(history: Sequence[Item], given: Sequence[Item]) -> list[Item]:
    """All of it, but for results in the history whose calls were deleted.

    Raises `InvalidRequest` for a given result that answers no call, and where a call is left without its result.
    """
    called = set[str]()
    items = list[Item]()
    for number, item in enumerate([*history, *given]):
        called |= {call.call_id for call in item.calls}
        if unknown := [result.call_id for result in item.results if result.call_id not in called]:
            if number >= len(history):
                raise _refused(f"No tool call found for the output with the call id '{unknown[0]}'.")
            continue
        items.append(item)
    _refuse_unanswered([*history[-1:], *given])
    return items


def _refuse_unanswered(items: Sequence[Item]) -> None:
    """Calls that were cut off, or are none, need no answer."""
    answered = {result.call_id for item in items for result in item.results}
    calls = (call for item in items if item.complete for call in item.calls if call.given is not None)
    if left := [call.call_id for call in calls if call.call_id not in answered]:
        raise _refused(f"No tool output found for the function call '{left[0]}': give its output before anything else.")


def _refused(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param="input")
