"""One control turn's check: do the logits of the reused state agree with recomputed ones?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from .logit_sketch import WatchedLogits
from .noise_floor import Floor

TOLERATED = 2.0
"""Times the noise floor. `tests/benchmarks/audit_power.py` measures what that catches and that it raises no alarm."""


class Replay(StrEnum):
    """A way to compute the turn's tokens once more."""

    REUSED = "reused"
    """On the state that the turn would have gone on from."""
    SCRATCH = "scratch"
    """From nothing, in the pieces in which a prompt is prefilled."""
    AGAIN = "again"
    """From nothing, in small pieces and then token by token."""


class Result(StrEnum):
    CLEAN = "clean"
    BREACH = "breach"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`deviation` and `floor` are in units of the logits' spread, over `positions`."""

    result: Result
    deviation: float | None = None
    floor: float | None = None
    positions: int = 0


class Audit:
    """Asks for replays until it knows. A turn recorded from reused state needs one from scratch, and the other way
    round; what looks bad is judged by a second one from scratch, against the noise at the very same positions."""

    def __init__(self, recorded: WatchedLogits, *, reused: bool, floor: Floor, lossless: bool = True) -> None:
        """`lossless`: whether state comes back as it was. If not, a deviation does not tell rounding from a fault."""
        self._seen = {Replay.REUSED if reused else Replay.SCRATCH: recorded}
        self._floor = floor
        self._lossless = lossless
        self._wants_again = floor.wants_more

    @property
    def next(self) -> Replay | None:
        """What still has to be computed; None when the verdict is there."""
        for replay in (Replay.REUSED, Replay.SCRATCH):
            if replay not in self._seen:
                return replay
        if Replay.AGAIN not in self._seen and (self._wants_again or self._suspicious):
            return Replay.AGAIN
        return None

    def take(self, replay: Replay, seen: WatchedLogits) -> None:
        self._seen[replay] = seen
        if replay is Replay.AGAIN and (noise := seen.deviation(self._seen[Replay.SCRATCH])) is not None:
            self._floor.observe(noise)

    def verdict(self) -> Verdict:
        """Call it once, when there is no `next`."""
        self._floor.audited()
        reused, scratch = self._seen[Replay.REUSED], self._seen[Replay.SCRATCH]
        positions = len(reused.seen.keys() & scratch.seen.keys())
        deviation = reused.deviation(scratch)
        if deviation is None or not scratch.finite:
            return Verdict(Result.INCONCLUSIVE)
        again = self._seen.get(Replay.AGAIN)
        if again is None:
            return Verdict(Result.CLEAN, deviation, self._floor.value, positions)
        floor = self._floor.at_least(again.deviation(scratch) or 0.0)
        deviation = min(deviation, reused.deviation(again) or 0.0)
        if deviation <= TOLERATED * floor:
            return Verdict(Result.CLEAN, deviation, floor, positions)
        told = self._lossless or not math.isfinite(deviation)
        return Verdict(Result.BREACH if told else Result.INCONCLUSIVE, deviation, floor, positions)

    @property
    def _suspicious(self) -> bool:
        deviation = self._seen[Replay.REUSED].deviation(self._seen[Replay.SCRATCH])
        return deviation is not None and (self._floor.value is None or deviation > TOLERATED * self._floor.value)
