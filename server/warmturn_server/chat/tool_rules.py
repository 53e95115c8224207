"""What a request says of the functions that it offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ToolRules:
    """`may_call`: any at all. `must_call`: nothing else is an answer. `only`: these alone; None for all that are
    offered. `several`: in one reply. `strict`: functions whose arguments are to be what their schemas say.
    `places`: where in the request each function's schema stands, for what is wrong with it."""

    may_call: bool = True
    must_call: bool = False
    only: frozenset[str] | None = None
    several: bool = True
    strict: frozenset[str] = frozenset()
    places: Mapping[str, str] = field(default_factory=dict)

    def allows(self, name: str) -> bool:
        return self.may_call and (self.only is None or name in self.only)
