"""What the engine says while it works and after it: tokens, and where every prompt token came from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from .lookback import Lookback
from .promise import BrokenBecause
from .request import ReuseMode, Rewrite

FinishReason = Literal["stop", "length", "cancelled"]
RecomputeSource = Literal["estimated", "measured"]
Bounds = tuple[float, float]
"""The lower and the upper end of a 95% interval."""
PrefetchStatus = Literal["warm", "started", "nothing_saved"]


class MissReason(StrEnum):
    """Why reuse stopped short of what a conversation had; a closed list."""

    EVICTED = "evicted"
    NOT_FOUND = "not_found"
    CORRUPT = "corrupt"
    FINGERPRINT = "fingerprint"
    STORE_UNAVAILABLE = "store_unavailable"
    RECOMPUTE_FASTER = "recompute_faster"
    HISTORY_REWRITTEN = "history_rewritten"


@dataclass(frozen=True, slots=True)
class Miss:
    """Where reuse stopped short of what the conversation had, and why.

    `lost_tokens` had state and were computed again, which made the prefill about `cost_ms` longer; where restoring them
    was expected to take longer, `restore_ms` says how long. `block` begins as the name of the block's file does.
    `rewrite` is set where a template changed history, even if reuse stopped before that. `promise`: why the block went
    although a lifetime was promised; None where that was not so.
    """

    at_token: int
    reason: MissReason
    lost_tokens: int = 0
    cost_ms: float | None = None
    restore_ms: float | None = None
    tier: str | None = None
    block: str | None = None
    rewrite: Rewrite | None = None
    promise: BrokenBecause | None = None


class ControlMode(StrEnum):
    REPLACE = "replace"
    """Computed from scratch in place of reuse: the user waits."""
    SHADOW = "shadow"
    """Computed from scratch after the reply, when the machine is idle."""


@dataclass(frozen=True, slots=True)
class ControlReport:
    """What a reply says of being a control turn; `id` is found again in the log when its audit fails.

    With `replace`: `foregone_tokens` could have been reused, and not doing so cost about `cost_ms`.
    """

    id: str
    mode: ControlMode
    foregone_tokens: int | None = None
    cost_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Drafts:
    """How many tokens of a reply were guessed and computed on trial, and how many of them it says."""

    drafted: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class TurnReport:
    """The extension object `warmturn` of every reply. Unknown is None, never 0; times are wall clock.

    An estimate has its 95% interval beside it, and is None while that is wide. Where nothing was reused, nothing was
    saved and nothing lost, unless state was waited for in vain. `drafts`: None where nothing was guessed.
    """

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
    recompute_ms_ci95: Bounds | None
    recompute_source: RecomputeSource | None
    saved_ms: float | None
    saved_ms_ci95: Bounds | None
    miss: Miss | None
    control: ControlReport | None = None
    ahead_tokens: int = 0
    """Of the cached ones, those that were computed for this very turn before it came."""
    executor: str | None = None
    """Who computed its steps; several are joined by `+`, in the order in which they did."""
    drafts: Drafts | None = None

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
    """Why a generation ended, and its account."""

    reason: FinishReason
    report: TurnReport


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """New output: visible text (may be empty while a character or a stop string is undecided) and sampled ids.

    `mark`: behind the text, a special token that parts the reply; other special tokens are not told.
    """

    text: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] = ()
    finish: Finish | None = None
    mark: str = ""
    prompt_logprobs: tuple[TokenLogprobs, ...] = ()
    """Of all the prompt's tokens but the first, with the first delta."""


@dataclass(frozen=True, slots=True)
class Generated:
    """A whole generation, for callers that do not stream."""

    token_ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason
    report: TurnReport
    logprobs: tuple[TokenLogprobs, ...] = ()
    lookback: Lookback | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """What the tiers held of a prefix when they were asked."""

    status: PrefetchStatus
    tokens_by_tier: dict[str, int]


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return [_rounded(inner) for inner in value]
    return round(value, 3) if isinstance(value, float) else value
