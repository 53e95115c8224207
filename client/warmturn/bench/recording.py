"""Everything that a run leaves behind, filled while it goes on: what is there when it is interrupted counts."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from warmturn.bench.sample import Sample
from warmturn.wire import ReuseMode


@dataclass(frozen=True, slots=True)
class TierMoment:
    """Bytes that each tier held, `second` seconds after the start."""

    second: float
    bytes_by_tier: dict[str, int]


@dataclass(slots=True)
class Recording:
    samples: list[Sample] = field(default_factory=list)
    seconds: dict[ReuseMode, float] = field(default_factory=lambda: defaultdict(float))
    """How long each mode was under load, without what lay between."""
    skipped: dict[ReuseMode, int] = field(default_factory=lambda: defaultdict(int))
    """Turns that could not be asked because one before them had failed."""
    tiers: list[TierMoment] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    """When the server was killed, in seconds since the start."""
    warm_up_turns: int = 0
    figures: dict[str, Any] | None = None
    """The server's own, after the run."""

    def of_mode(self, mode: ReuseMode) -> list[Sample]:
        return [sample for sample in self.samples if sample.asked.mode == mode]
