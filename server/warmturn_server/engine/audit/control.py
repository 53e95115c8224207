"""Control turns: which turns are really computed from scratch, and what was kept of them until they are."""

from __future__ import annotations

import random
import secrets
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from ...engine_api.report import ControlMode, ControlReport, TurnReport
from ...engine_api.request import GenerationRequest, ReuseMode, TokenIds
from ..sequence import Sequence
from .logit_sketch import LogitSketch, WatchedLogits
from .verdict import Verdict

MAX_BACKLOG = 8
_WATCHED_PROMPT = 8
_WATCHED_REPLY = 64


@dataclass(slots=True)
class Control:
    """A drawn turn while it runs."""

    id: str
    mode: ControlMode
    watch: WatchedLogits
    foregone_tokens: int = 0
    reuse_seconds: float | None = None
    """What going on from state was expected to take, where that was not done."""
    recompute_seconds: float | None = None
    """What computing from scratch was expected to take, where that was done."""


@dataclass(frozen=True, slots=True, eq=False)
class ControlTurn:
    """A finished turn that is to be computed once more. `token_ids` are prompt and reply, but for its last token."""

    control: Control
    request: GenerationRequest
    token_ids: tuple[int, ...]
    report: dict[str, object]
    """As the reply and the log have it, but for texts."""
    cached_by_tier: dict[str, int]
    restore_seconds: float
    """As it was. What else reuse took is measured again beside the recomputation, on the same idle machine."""

    @property
    def cached_tokens(self) -> int:
        return self.control.foregone_tokens or sum(self.cached_by_tier.values())

    def shares(self, tenant: str, token_ids: TokenIds, keep_tokens: int) -> bool:
        """Whether it begins as these tokens do, for more than `keep_tokens`."""
        return self.request.tenant == tenant and self.token_ids[: keep_tokens + 1] == tuple(
            token_ids[: keep_tokens + 1]
        )


class ControlObserver(Protocol):
    """Who keeps count of controls and audits."""

    def turn_reused(self, saved_seconds: float) -> None:
        """A turn went on from state, which by the estimate saved so much."""
        ...

    def turn_recomputed(
        self, mode: ControlMode, seconds: float, expected_seconds: float | None, reuse_seconds: float | None
    ) -> None:
        """A control turn was computed from scratch, where going on took or would have taken `reuse_seconds`."""
        ...

    def control_dropped(self, reason: str) -> None: ...

    def idle_seconds_used(self, seconds: float) -> None: ...

    def audited(self, verdict: Verdict, noise_floor: float | None) -> None: ...

    def quarantined(self, turn: ControlTurn, verdict: Verdict, num_blocks: int) -> None: ...


class Controls:
    """Draws control turns and holds those that wait for an idle machine."""

    def __init__(
        self,
        mode: ControlMode,
        rate: float,
        seed: int | None,
        sketch: LogitSketch,
        observer: ControlObserver,
        *,
        lossless: bool = True,
    ) -> None:
        self.observer = observer
        self.lossless = lossless
        self.backlog: deque[ControlTurn] = deque()
        self._mode = mode
        self._rate = rate
        self._random = random.Random(seed)
        self._sketch = sketch

    def draw(self, request: GenerationRequest) -> Control | None:
        """One draw for each turn that may reuse state, whatever comes of it, so that a seed repeats."""
        if (
            request.recomputes_reply
            or not self.concern(request)
            or request.reuse is not ReuseMode.STATE
            or self._random.random() >= self._rate
        ):
            return None
        return Control(secrets.token_hex(8), self._mode, self.watch(len(request.token_ids)))

    def concern(self, request: GenerationRequest) -> bool:
        """Neither what is no turn, nor turns whose state has to be saved at once, are drawn or counted."""
        return not (request.prewarm or request.keeping.promised)

    def watch(self, num_prompt_tokens: int) -> WatchedLogits:
        """The last new tokens of the prompt and the first of the reply; all of them look at all that was reused."""
        last = num_prompt_tokens - 1
        return WatchedLogits(self._sketch, max(last - _WATCHED_PROMPT, 0), last + _WATCHED_REPLY)

    def settle(self, control: Control, sequence: Sequence) -> ControlReport | None:
        """What the reply says; a turn that reused nothing after all, or finds the backlog full, is no control turn."""
        if sequence.timeline.first_token is None:
            return None
        if control.mode is ControlMode.SHADOW:
            if not sequence.prefix.num_tokens or not self._has_room():
                return None
            return ControlReport(control.id, control.mode)
        if (withheld := sequence.withheld) is None:
            return None
        control.foregone_tokens = withheld.num_tokens
        control.reuse_seconds, control.recompute_seconds = withheld.reuse_seconds, withheld.recompute_seconds
        cost = None if control.reuse_seconds is None else sequence.prefill_seconds - control.reuse_seconds
        return ControlReport(control.id, control.mode, control.foregone_tokens, None if cost is None else cost * 1000)

    def reused(self, report: TurnReport) -> None:
        """Count a turn that went on from state."""
        if report.reuse is ReuseMode.STATE and report.cached_tokens and report.saved_ms is not None:
            self.observer.turn_reused(report.saved_ms / 1000)

    def take(self, control: Control, sequence: Sequence, report: TurnReport) -> bool:
        """Hold a finished control turn until it is computed again; False where that finds no room."""
        if control.mode is ControlMode.REPLACE:
            seconds = sequence.prefill_seconds
            self.observer.turn_recomputed(control.mode, seconds, control.recompute_seconds, control.reuse_seconds)
            if not self._has_room():
                return False
        restore_seconds = report.restore_ms / 1000
        token_ids = tuple(sequence.token_ids[:-1])
        account = {name: value for name, value in report.as_dict().items() if name != "miss"}
        tiers = report.cached_by_tier
        self.backlog.append(ControlTurn(control, sequence.request, token_ids, account, tiers, restore_seconds))
        return True

    def forget(self, tenant: str, token_ids: TokenIds, reason: str, keep_tokens: int) -> None:
        """Drop the turns that share more than their first `keep_tokens` with these tokens."""
        kept = deque(turn for turn in self.backlog if not turn.shares(tenant, token_ids, keep_tokens))
        for _ in range(len(self.backlog) - len(kept)):
            self.observer.control_dropped(reason)
        self.backlog = kept

    def _has_room(self) -> bool:
        if len(self.backlog) < MAX_BACKLOG:
            return True
        self.observer.control_dropped("backlog")
        return False
