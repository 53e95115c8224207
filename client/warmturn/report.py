"""What the server says of a turn: where each prompt token came from, the times, and what that saved.

`parse_report` reads the `warmturn` object of a reply, as `warmturn.wire` reads the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from warmturn.lookback import Lookback, parse_lookback

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """A token, and the text on either side of where two texts part; None where there is no (whole) token."""

    token_id: int | None
    token: str | None
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The template changed history: the log has `expected` at this token, the new prompt had `got`."""

    at_token: int
    expected: Reading
    got: Reading


@dataclass(frozen=True, slots=True)
class Miss:
    """Reuse stopped at this prompt token, for this reason; `cost_ms` is about what that cost."""

    at_token: int
    reason: str
    lost_tokens: int | None = None
    cost_ms: float | None = None
    restore_ms: float | None = None
    tier: str | None = None
    block: str | None = None
    rewrite: Rewrite | None = None
    promise: str | None = None
    """Why the state went although it was promised to stay; None where it was not."""


@dataclass(frozen=True, slots=True)
class Control:
    """The turn checks what saved state saves and says: computed from scratch in its place, or afterwards."""

    id: str
    mode: str
    foregone_tokens: int | None = None
    cost_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Drafts:
    """Of the reply's tokens so many were guessed and computed on trial, and so many of the guesses were right."""

    drafted: int
    accepted: int


@dataclass(frozen=True, slots=True)
class TurnReport:
    """The `warmturn` object of a reply: where each prompt token came from and what that saved. Unknown is None.

    `..._ci95` are the bounds of an estimate's 95% interval; what was measured has none.

    `tokens`: "record" where the prompt's first `record_tokens` ids are those that the server had on record, "canonical"
    where all of them are what the tokenizer makes of the text.
    """

    reuse: str
    prompt_tokens: int
    cached_tokens: int
    prefilled_tokens: int
    cached_by_tier: dict[str, int] = field(default_factory=dict)
    queue_ms: float | None = None
    restore_ms: float | None = None
    prefill_ms: float | None = None
    ttft_ms: float | None = None
    decode_ms_per_token: float | None = None
    recompute_ms: float | None = None
    recompute_ms_ci95: tuple[float, float] | None = None
    recompute_source: str | None = None
    saved_ms: float | None = None
    saved_ms_ci95: tuple[float, float] | None = None
    miss: Miss | None = None
    control: Control | None = None
    drafts: Drafts | None = None
    tokens: str | None = None
    record_tokens: int | None = None
    dropped_items: int | None = None
    sampling: dict[str, float] | None = None
    ahead_tokens: int | None = None
    executor: str | None = None
    skipped_fields: tuple[str, ...] | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    output_token_ids: tuple[int, ...] | None = None
    lookback: Lookback | None = None


def parse_report(data: Json) -> TurnReport:
    known = {name: data[name] for name in TurnReport.__slots__ if name in data}
    if known.get("miss"):
        known["miss"] = _parse_miss(known["miss"])
    if control := known.get("control"):
        known["control"] = Control(**{name: control.get(name) for name in Control.__slots__})
    if drafts := known.get("drafts"):
        known["drafts"] = Drafts(drafts["drafted"], drafts["accepted"])
    for several in ("prompt_token_ids", "output_token_ids", "skipped_fields", "recompute_ms_ci95", "saved_ms_ci95"):
        if known.get(several) is not None:
            known[several] = tuple(known[several])
    if known.get("lookback") is not None:
        known["lookback"] = parse_lookback(known["lookback"])
    return TurnReport(**known)


def _parse_miss(data: Json) -> Miss:
    known = {name: data[name] for name in Miss.__slots__ if name in data}
    if rewrite := known.get("rewrite"):
        known["rewrite"] = Rewrite(rewrite["at_token"], Reading(**rewrite["expected"]), Reading(**rewrite["got"]))
    return Miss(**known)
