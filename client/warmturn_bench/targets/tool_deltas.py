"""Calls as a stream of Chat Completions' chunks brings them: name first, arguments in pieces."""

from collections.abc import Iterable, Iterator
from typing import Any

from warmturn_bench.targets.calls import Call


class ToolDeltas:
    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}

    def add(self, deltas: Iterable[dict[str, Any]]) -> str:
        """What is new in them, as text. Some servers send no index: then there is one call."""
        return "".join(map(self._add, deltas))

    def made(self) -> Iterator[Call]:
        return (call for _, call in sorted(self._calls.items()) if call.name)

    def _add(self, delta: dict[str, Any]) -> str:
        index, function = delta.get("index") or 0, delta.get("function") or {}
        before = self._calls.get(index, Call("", "", ""))
        name, arguments = function.get("name") or "", function.get("arguments") or ""
        call_id = before.call_id or delta.get("id") or f"call_{index}"
        self._calls[index] = Call(call_id, before.name or name, before.arguments + arguments)
        return f"{name}{arguments}"
