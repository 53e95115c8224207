"""What one answer of `/v1/stats` says, and what two of them say together. What a server does not say is None."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from warmturn.wire import figure_at

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second; None until two answers of the same process are there."""

    tokens_prefilled: float | None = None
    tokens_generated: float | None = None
    turns: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """`figures` are None where the server did not answer; `error` then says why."""

    time: float
    figures: Figures | None = None
    rates: Rates = field(default_factory=Rates)
    error: str = ""

    @property
    def instance(self) -> Any:
        return figure_at(self.figures, "instance")

    @property
    def uptime_seconds(self) -> Any:
        return figure_at(self.figures, "uptime_seconds")

    def recent(self, mode: str, *path: str) -> Any:
        """Of the turns that ended in the last minute."""
        return figure_at(self.figures, "recent", "by_reuse", mode, *path)

    def hit_shares(self) -> dict[str, float]:
        """Of all prompt tokens since start, by source; empty before the first one."""
        counts = figure_at(self.figures, "prompt_tokens_by_source") or {}
        total = sum(counts.values())
        return {source: count / total for source, count in counts.items()} if total else {}


def rates(now: Figures, before: Figures | None) -> Rates:
    """Differences of totals over the server's own clock; a process that counts from zero again has no past."""
    if before is None or before.get("instance") != now.get("instance"):
        return Rates()
    seconds = _difference(now, before, "uptime_seconds")
    if not seconds:
        return Rates()
    names = ("tokens_prefilled", "tokens_generated", "turns")
    grown = {name: _difference(now, before, "totals", name) for name in names}
    return Rates(**{name: None if more is None else more / seconds for name, more in grown.items()})


def _difference(now: Figures, before: Figures, *path: str) -> float | None:
    """None where a total is missing or fell: whatever that is, it is not a negative rate."""
    after, earlier = figure_at(now, *path), figure_at(before, *path)
    if after is None or earlier is None or after < earlier:
        return None
    return float(after - earlier)
