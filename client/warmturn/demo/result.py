"""What the demo found: its JSON document, and which promises broke."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from warmturn.wire import ReuseMode


@dataclass(frozen=True, slots=True)
class DemoTurn:
    """Times are milliseconds from sending the request to the first text, taken at the client."""

    turn: int
    prompt_tokens: int
    cached_tokens: int
    prefilled_tokens: int
    ttft_ms: dict[ReuseMode, float]
    same_tokens: bool
    text: str

    @property
    def saved_ms(self) -> float:
        """Against the better of what a server without saved state could do."""
        return self.ttft_ms["prompt"] - self.ttft_ms["state"]

    @property
    def speedup(self) -> float:
        return self.ttft_ms["prompt"] / self.ttft_ms["state"]


@dataclass(frozen=True, slots=True)
class Restart:
    """`cached_tokens`, `tier` and `same_tokens` are those of the first turn after the server was killed."""

    after_turn: int
    cached_tokens: int
    tier: str | None
    same_tokens: bool


@dataclass(frozen=True, slots=True)
class Recall:
    asked: int
    correct: int


@dataclass(frozen=True, slots=True)
class DemoResult:
    """`restart` is None where the server was not ours to kill. `recall_promised` holds for the bundled model only."""

    model: str
    turns: tuple[DemoTurn, ...]
    restart: Restart | None
    recall: Recall
    recall_promised: bool

    def broken_promises(self) -> Iterator[str]:
        for turn in self.turns:
            if not turn.same_tokens:
                yield f"turn {turn.turn}: the reuse modes gave different tokens"
            if turn.turn > 1 and turn.cached_tokens == 0:
                yield f"turn {turn.turn}: nothing of the saved state was reused"
        if self.restart is not None and self.restart.tier != "disk":
            yield f"turn {self.restart.after_turn + 1}: after the restart the state did not come from disk"
        if self.recall_promised and self.recall.correct < self.recall.asked:
            yield f"{self.recall.asked - self.recall.correct} of {self.recall.asked} facts were not remembered"

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "turns": [asdict(turn) for turn in self.turns],
            "restart": None if self.restart is None else asdict(self.restart),
            "recall": asdict(self.recall),
            "speedup_last_turn": round(self.turns[-1].speedup, 2),
            "ok": not any(self.broken_promises()),
        }
