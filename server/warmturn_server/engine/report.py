"""What the engine says while it works and after it: tokens, and where every prompt token came from."""

from __future__ import annotations

import dataclasses
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from .control import ControlReport
from .lookback import Lookback
from .miss import Miss
from .request import ReuseMode

FinishReason = Literal["stop", "length", "cancelled"]
RecomputeSource = Literal["estimated", "measured"]


@dataclass(frozen=True, slots=True)
class TurnReport:
    """The extension object `warmturn` of every reply. Unknown is None, never 0; times are wall clock."""

    reuse: ReuseMode
    prompt_tokens: int
    cached_tokens: int
    prefilled_tokens: int
    cached_by_tier: dict[str, int]
    queue_ms: float
    restore_ms: float
    prefill_ms: float | None
    ttft_ms: float | None
    decode_ms_per_token: float | None
    recompute_ms: float | None
    recompute_source: RecomputeSource | None
    saved_ms: float | None
    miss: Miss | None
    control: ControlReport | None = None

    def as_dict(self) -> dict[str, object]:
        """Ready for JSON; milliseconds to the microsecond."""
        return {name: _rounded(value) for name, value in dataclasses.asdict(self).items()}


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-probability of the chosen token under the model's own distribution, and of the best ones, best first."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """Why a generation ended, and its account. `lookback` is still being made, if it was asked for."""

    reason: FinishReason
    report: TurnReport
    lookback: Future[Lookback | None] | None = None


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """New output: visible text (may be empty while a character or a stop string is undecided) and sampled ids."""

    text: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] = ()
    finish: Finish | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """A whole generation, for callers that do not stream."""

    token_ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason
    report: TurnReport
    logprobs: tuple[TokenLogprobs, ...] = ()
    lookback: Lookback | None = None


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 3) if isinstance(value, float) else value
