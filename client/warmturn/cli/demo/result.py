"""What the demo found: its JSON document, and which promises broke."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from warmturn.wire import ReuseMode

_ROUNDED = ("bfloat16", "float16")
_UNSHOWN = ("wrongly_cached", "foregone_tokens")


@dataclass(frozen=True, slots=True)
class DemoTurn:
    """Times are milliseconds from sending the request to the first text, taken at the client.

    `wrongly_cached`: tokens that other modes than `state` reused, where there were any. `foregone_tokens`: those that
    the state turn could have reused, had the server not computed it from scratch as a control. `left_out_tokens`: the
    last of the `reply_tokens`, which a slow mode was not asked for.
    """

    turn: int
    prompt_tokens: int
    cached_tokens: int
    prefilled_tokens: int
    ttft_ms: dict[ReuseMode, float]
    same_tokens: bool
    text: str
    reply_tokens: int = 0
    left_out_tokens: Mapping[ReuseMode, int] = field(default_factory=dict)
    wrongly_cached: Mapping[ReuseMode, int] = field(default_factory=dict)
    foregone_tokens: int = 0

    @property
    def saved_ms(self) -> float:
        """Against the better of what a server without saved state could do."""
        return self.ttft_ms["prompt"] - self.ttft_ms["state"]

    @property
    def speedup(self) -> float:
        return self.ttft_ms["prompt"] / self.ttft_ms["state"]

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in _UNSHOWN}


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
    """`restart` is None where the server was not ours to kill. `recall_promised` holds for the bundled model only.

    `dtype` is what the server computes in, None where it does not say. `left_out_seconds`: about what the tokens would
    have taken that slow modes were not asked for.
    """

    model: str
    turns: tuple[DemoTurn, ...]
    restart: Restart | None
    recall: Recall
    recall_promised: bool
    dtype: str | None
    left_out_seconds: float = 0.0

    @property
    def same_tokens_promised(self) -> bool:
        """Where more is rounded, a near-tie may go the other way when the prompt is computed in other pieces."""
        return self.dtype not in _ROUNDED

    def broken_promises(self) -> Iterator[str]:
        for turn in self.turns:
            yield from self._broken_in(turn)
        if self.restart is not None:
            yield from self._broken_by(self.restart)
        if self.recall_promised and self.recall.correct < self.recall.asked:
            yield f"{self.recall.asked - self.recall.correct} of {self.recall.asked} facts were not remembered"

    def _broken_in(self, turn: DemoTurn) -> Iterator[str]:
        if self.same_tokens_promised and not turn.same_tokens:
            yield f"turn {turn.turn}: the reuse modes gave different tokens"
        if turn.turn > 1 and turn.cached_tokens + turn.foregone_tokens == 0:
            yield f"turn {turn.turn}: nothing of the saved state was reused"
        for mode, tokens in turn.wrongly_cached.items():
            yield f"turn {turn.turn}: mode {mode} reused {tokens:,} tokens, where it was to compute all of them"

    def _broken_by(self, restart: Restart) -> Iterator[str]:
        """State is saved beside the replies, so a kill may cost the last turn's, but never what was there long before:
        half of the prompt that the turn before it had.
        """
        known = self.turns[restart.after_turn - 1].prompt_tokens
        if restart.tier != "disk":
            yield f"turn {restart.after_turn + 1}: after the restart the state did not come from disk"
        elif 2 * restart.cached_tokens < known:
            lost = f"only {restart.cached_tokens:,} of at least {known:,} known tokens"
            yield f"turn {restart.after_turn + 1}: after the restart {lost} were still there"

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "turns": [turn.as_dict() for turn in self.turns],
            "restart": None if self.restart is None else asdict(self.restart),
            "recall": asdict(self.recall),
            "speedup_last_turn": round(self.turns[-1].speedup, 2),
            "ok": not any(self.broken_promises()),
        }
