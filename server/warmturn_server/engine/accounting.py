"""A turn's account: where its prompt came from, how long things took, and what that saved."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence as Items
from functools import partial
from typing import Final, Protocol

from ..engine_api.report import Drafts, FinishReason, Miss, TurnReport
from ..engine_api.request import GenerationRequest, ReuseMode
from ..errors import EngineFailed
from ..kvcache import reusable_tokens
from .ahead.hook import AheadObserver
from .miss import explain
from .model.cost_model import CostModel
from .model.effort import Effort
from .recompute import recompute, seconds_at_its_pace
from .sequence import Sequence, now
from .share import Share

NOT_HELD: Final = "nothing"
_REMEMBERED = 4096


class EngineObserver(AheadObserver, Protocol):
    """Who keeps count."""

    def token(self, seconds_since_last: float) -> None: ...

    def turn_finished(self, report: TurnReport, num_output_tokens: int, reason: FinishReason) -> None: ...

    def turn_failed(self, code: str) -> None: ...

    def saving_measured(self, seconds: float) -> None: ...

    def conversation_continued(self, held_in: str) -> None: ...

    def restored(self, tier: str, seconds: float) -> None: ...

    def step(self, num_sequences: int, num_tokens: int, forward_seconds: float, seconds: float) -> None:
        """`seconds`: since the last step was over, or since this one began if nothing was to be done before."""


class Accounts:
    """Makes every finished turn's report, and tells the observer and the cost model what was seen on the way."""

    def __init__(self, cost_model: CostModel, observer: EngineObserver) -> None:
        self.cost_model = cost_model
        self._observer = observer
        self._savings = MeasuredSavings()
        self._step_ended: float | None = None
        """When the last step was over, if the next one follows on it."""

    def computed(self, shares: Items[Share], seconds: float, executor: str) -> None:
        """A forward pass; prefills alone tell what they cost."""
        effort = Effort.of_step([(share.num_tokens, share.start) for share in shares])
        for share in shares:
            share.sequence.executors[executor] = None
            if share.sequence.timeline.first_token is None:
                share.sequence.prefilled.add(effort, seconds)
        if all(share.count > 1 for share in shares):
            self.cost_model.observe_step(effort, seconds)

    def token(self, sequence: Sequence, moment: float) -> None:
        """A sequence gets its next token."""
        if sequence.timeline.first_token is not None:
            self._observer.token(moment - sequence.timeline.last_token)

    def stepped(self, shares: Items[Share], forward_seconds: float, began: float) -> None:
        since, self._step_ended = self._step_ended or began, now()
        num_tokens = sum(share.num_kept for share in shares)
        self._observer.step(len(shares), num_tokens, forward_seconds, self._step_ended - since)

    def rest(self) -> None:
        """The time from here on is not spent on any step."""
        self._step_ended = None

    def finished(self, sequence: Sequence, report: TurnReport, reason: FinishReason) -> None:
        """Count a turn; a look back at one of long ago is none."""
        if sequence.request.recomputes_reply:
            return
        if sequence.first is not None:
            self._observer.turn_finished(_without_prompt(report), sequence.num_output_tokens, reason)
            return
        self._observer.turn_finished(report, sequence.num_output_tokens, reason)
        if sequence.request.prewarm:  # the turn itself is still to come
            return
        if (tier := held_in(sequence.request, report)) is not None:
            self._observer.conversation_continued(tier)
        if (saved_seconds := self._savings.pair(sequence.request, report)) is not None:
            self._observer.saving_measured(saved_seconds)

    def failed(self, sequence: Sequence, failure: EngineFailed) -> None:
        """Count a turn of which nothing came."""
        if not sequence.request.recomputes_reply:
            self._observer.turn_failed(str(failure.code))

    def report(self, sequence: Sequence) -> TurnReport:
        """The account of a sequence that is over."""
        line, prefix = sequence.timeline, sequence.prefix
        restore_ms = _ms(line.ready - line.admitted)
        prefill_ms = None if line.first_token is None else _ms(line.first_token - line.ready)
        full = recompute(sequence, prefill_ms, self.cost_model)
        spent = restore_ms + (prefill_ms or 0.0)
        return TurnReport(
            reuse=ReuseMode.PROMPT if sequence.withheld else sequence.request.reuse,
            prompt_tokens=sequence.num_prompt_tokens,
            cached_tokens=prefix.num_tokens,
            prefilled_tokens=_num_prefilled(sequence),
            cached_by_tier=dict(prefix.tokens_by_tier),
            queue_ms=_ms(line.admitted - line.arrived),
            restore_ms=restore_ms,
            prefill_ms=prefill_ms,
            ttft_ms=_ttft_ms(sequence),
            decode_ms_per_token=_decode_ms_per_token(sequence),
            recompute_ms=full.ms,
            recompute_ms_ci95=full.bounds,
            recompute_source=full.source,
            saved_ms=None if full.ms is None else full.ms - spent,
            saved_ms_ci95=None if full.bounds is None else (full.bounds[0] - spent, full.bounds[1] - spent),
            miss=None if sequence.withheld else self._miss(sequence),
            ahead_tokens=prefix.ahead_tokens,
            executor="+".join(sequence.executors) or None,
            drafts=Drafts(sequence.num_drafted, sequence.num_accepted) if sequence.num_drafted else None,
        )

    def _miss(self, sequence: Sequence) -> Miss | None:
        prefix = sequence.prefix
        return explain(
            sequence.request,
            prefix.num_tokens,
            prefix.block_miss,
            prefix.restore_seconds,
            partial(self._cost_seconds, sequence),
            prefix.block_size,
        )

    def _cost_seconds(self, sequence: Sequence, at_token: int, lost: int) -> float | None:
        """What the turn's prefill took longer for `lost` tokens from `at_token` on: the rest of it was due anyway."""
        num_tokens, effort = sequence.num_prompt_tokens, self.cost_model.effort
        lost_effort = effort(num_tokens - at_token, at_token) - effort(num_tokens - at_token - lost, at_token + lost)
        return seconds_at_its_pace(sequence, lost_effort, self.cost_model)


class MeasuredSavings:
    """Pairs turns of the same prompt in the modes `state` and `prompt`, whichever came first: both were timed."""

    def __init__(self) -> None:
        self._unpaired: OrderedDict[int, TurnReport] = OrderedDict()

    def pair(self, request: GenerationRequest, report: TurnReport) -> float | None:
        """Seconds saved, negative when lost, if this turn completes a pair; each turn is in one pair at most."""
        if report.prefill_ms is None or report.reuse is ReuseMode.NOTHING:
            return None
        if report.reuse is ReuseMode.STATE and not report.cached_tokens:
            return None
        prompt = hash((request.tenant, request.token_ids))
        other = self._unpaired.pop(prompt, None)
        if other is None or other.reuse is report.reuse:
            self._unpaired[prompt] = report
            if len(self._unpaired) > _REMEMBERED:
                self._unpaired.popitem(last=False)
            return None
        state, full = (report, other) if report.reuse is ReuseMode.STATE else (other, report)
        return ((full.prefill_ms or 0.0) - state.restore_ms - (state.prefill_ms or 0.0)) / 1000


def held_in(request: GenerationRequest, report: TurnReport) -> str | None:
    """The most distant tier that a known conversation's state came from; `nothing` when most of it was nowhere.

    It is what a balancer's affinity is judged by. None for what says nothing about that: a first turn, a turn that must
    not reuse, one that was stopped too early. Less than half counts as nothing: a system prompt that many conversations
    share is not yet the conversation.
    """
    known_tokens = min(request.known_tokens, reusable_tokens(report.prompt_tokens))
    if not request.continues or not known_tokens or report.reuse is not ReuseMode.STATE or report.prefill_ms is None:
        return None
    if 2 * report.cached_tokens < known_tokens:
        return NOT_HELD
    return [tier for tier, num_tokens in report.cached_by_tier.items() if num_tokens][-1]


def _without_prompt(report: TurnReport) -> TurnReport:
    """Of one more choice: what it did not compute itself is counted with the first one."""
    computed, by_tier = report.prefilled_tokens, dict.fromkeys(report.cached_by_tier, 0)
    return dataclasses.replace(report, prompt_tokens=computed, cached_tokens=0, cached_by_tier=by_tier, miss=None)


def _num_prefilled(sequence: Sequence) -> int:
    """Prompt tokens computed for this turn; a cancelled one may not have come to all of them."""
    reused = sequence.prefix.num_tokens
    if sequence.timeline.first_token is not None:
        return sequence.num_prompt_tokens - reused
    return max(sequence.buffer.length - reused, 0) if sequence.buffer else 0


def _ttft_ms(sequence: Sequence) -> float | None:
    line = sequence.timeline
    if line.first_token is None or sequence.request.prewarm:
        return None
    return _ms(line.first_token - line.arrived)


def _decode_ms_per_token(sequence: Sequence) -> float | None:
    line = sequence.timeline
    if line.first_token is None or sequence.num_output_tokens < 2:
        return None
    return _ms(line.last_token - line.first_token) / (sequence.num_output_tokens - 1)


def _ms(seconds: float) -> float:
    return seconds * 1000
