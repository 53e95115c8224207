"""What came back for a turn, that turn as it was measured, and all of them together."""

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Self

import httpx

from warmturn.errors import ApiError, ProtocolError, WarmturnError
from warmturn.wire import ReuseMode


@dataclass(frozen=True, slots=True)
class Reply:
    """Moments are those of `time.perf_counter`. What the server does not say is None, never 0."""

    text: str
    piece_moments: tuple[float, ...]
    ended: float
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cached_by_tier: dict[str, int] | None = None
    saved_ms: float | None = None
    saved_ms_ci95: tuple[float, float] | None = None
    miss: str | None = None


class TurnFailed(Exception):
    """One turn did not work out; `kind` is what failures are counted by."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def failure(error: WarmturnError) -> TurnFailed:
    match error:
        case ApiError(status=429 | 503 as status):
            return TurnFailed(f"busy ({status})", str(error))
        case ApiError():
            return TurnFailed(f"refused ({error.status})", str(error))
        case ProtocolError():
            return TurnFailed("protocol", str(error))
        case _ if isinstance(error.__cause__, httpx.TimeoutException):
            return TurnFailed("timeout", str(error))
        case _ if isinstance(error.__cause__, httpx.ConnectError):
            return TurnFailed("unreachable", str(error))
        case _:
            return TurnFailed("connection broke", str(error))


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
    saved_ms_ci95: tuple[float, float] | None = None
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
            saved_ms_ci95=reply.saved_ms_ci95,
            miss=reply.miss,
            text=reply.text,
        )

    def as_dict(self) -> dict[str, Any]:
        """One line of the raw data."""
        fields = asdict(self)
        return {**fields.pop("asked"), **fields}


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
