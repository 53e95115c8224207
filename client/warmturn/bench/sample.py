"""One turn as it was measured."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Self

from warmturn.bench.reply import Reply
from warmturn.wire import ReuseMode


@dataclass(frozen=True, slots=True)
class Asked:
    """Which turn, and when it was due and sent, in seconds since the run began."""

    mode: ReuseMode
    round: int
    conversation: int
    turn: int
    due: float
    sent: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Times count from when the turn was due. Unknown is None. With an `error` there are no other figures."""

    asked: Asked
    ttft_ms: float | None = None
    e2e_ms: float | None = None
    itl_ms: tuple[float, ...] = ()
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cached_by_tier: dict[str, int] | None = None
    saved_ms: float | None = None
    miss: str | None = None
    text: str = ""
    error: str | None = None
    error_message: str | None = None

    @property
    def ended(self) -> float | None:
        """In seconds since the run began."""
        return None if self.e2e_ms is None else self.asked.due + self.e2e_ms / 1000

    @classmethod
    def of(cls, asked: Asked, reply: Reply, began: float) -> Self:
        """`began` is the run's start as `time.perf_counter` has it. A reply without any text is timed to its end."""
        due = began + asked.due
        pieces = reply.piece_moments
        return cls(
            asked,
            ttft_ms=1000 * ((pieces[0] if pieces else reply.ended) - due),
            e2e_ms=1000 * (reply.ended - due),
            itl_ms=tuple(1000 * (later - earlier) for earlier, later in pairwise(pieces)),
            prompt_tokens=reply.prompt_tokens,
            output_tokens=reply.output_tokens,
            cached_tokens=reply.cached_tokens,
            cached_by_tier=reply.cached_by_tier,
            saved_ms=reply.saved_ms,
            miss=reply.miss,
            text=reply.text,
        )

    def as_dict(self) -> dict[str, Any]:
        """One line of the raw data."""
        fields = asdict(self)
        return {**fields.pop("asked"), **fields}
