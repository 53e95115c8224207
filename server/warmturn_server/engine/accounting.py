"""A turn's account: where its prompt came from, how long things took, and what that saved."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence as Items
from typing import Final, Protocol

from ..engine_api.report import FinishReason, Miss, RecomputeSource, TurnReport
from ..engine_api.request import GenerationRequest, ReuseMode
from ..errors import EngineFailed
from ..kvcache import reusable_tokens
from .miss import explain
from .model.cost_model import CostModel
from .sequence import Sequence, now

NOT_HELD: Final = "nothing"
_REMEMBERED = 4096


class EngineObserver(Protocol):
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

    def computed(self, chunks: Items[tuple[int, int]], seconds: float) -> None:
        """A forward pass over chunks of so many tokens after so many; a prefill alone tells what prefills cost."""
        if len(chunks) == 1 and chunks[0][0] > 1:
            self.cost_model.observe(*chunks[0], seconds)

    def token(self, sequence: Sequence, moment: float) -> None:
        """A sequence gets its next token."""
        if sequence.timeline.first_token is not None:
            self._observer.token(moment - sequence.timeline.last_token)

    def stepped(self, num_sequences: int, num_tokens: int, forward_seconds: float, began: float) -> None:
        since, self._step_ended = self._step_ended or began, now()
        self._observer.step(num_sequences, num_tokens, forward_seconds, self._step_ended - since)

    def rest(self) -> None:
        """The time from here on is not spent on any step."""
        self._step_ended = None

    def finished(self, sequence: Sequence, report: TurnReport, reason: FinishReason) -> None:
        """Count a turn; a look back at one of long ago is none."""
        if sequence.request.recomputes_reply:
            return
        self._observer.turn_finished(report, sequence.num_output_tokens, reason)
        if (tier := held_in(sequence.request, report)) is not None:
            self._observer.conversation_continued(tier)
        if (saved_seconds := self._savings.pair(sequence.request, report)) is not None:
            self._observer.saving_measured(saved_seconds)

    def failed(self, failure: EngineFailed) -> None:
        """Count a turn of which nothing came."""
        self._observer.turn_failed(str(failure.code))

    def report(self, sequence: Sequence) -> TurnReport:
        """The account of a sequence that is over."""
        line, prefix = sequence.timeline, sequence.prefix
        restore_ms = _ms(line.ready - line.admitted)
        prefill_ms = None if line.first_token is None else _ms(line.first_token - line.ready)
        recompute_ms, source = self._recompute_ms(sequence, prefill_ms)
        saved_ms = None if recompute_ms is None or prefill_ms is None else recompute_ms - restore_ms - prefill_ms
        return TurnReport(
            reuse=ReuseMode.PROMPT if sequence.withheld else sequence.request.reuse,
            prompt_tokens=sequence.num_prompt_tokens,
            cached_tokens=prefix.num_tokens,
            prefilled_tokens=_num_prefilled(sequence),
            cached_by_tier=dict(prefix.tokens_by_tier),
            queue_ms=_ms(line.admitted - line.arrived),
            restore_ms=restore_ms,
            prefill_ms=prefill_ms,
            ttft_ms=None if line.first_token is None else _ms(line.first_token - line.arrived),
            decode_ms_per_token=_decode_ms_per_token(sequence),
            recompute_ms=recompute_ms,
            recompute_source=source if recompute_ms is not None else None,
            saved_ms=saved_ms,
            miss=None if sequence.withheld else self._miss(sequence),
        )

    def _miss(self, sequence: Sequence) -> Miss | None:
        prefix, seconds = sequence.prefix, self.cost_model.seconds
        cached, expected = prefix.num_tokens, prefix.restore_seconds
        return explain(sequence.request, cached, prefix.block_miss, expected, seconds, prefix.block_size)

    def _recompute_ms(self, sequence: Sequence, prefill_ms: float | None) -> tuple[float | None, RecomputeSource]:
        """How long computing the whole prompt takes; measured where that was just done."""
        if sequence.request.reuse is not ReuseMode.STATE or not sequence.prefix.num_tokens:
            return prefill_ms, "measured"
        estimate = self.cost_model.seconds(sequence.num_prompt_tokens)
        return None if estimate is None else _ms(estimate), "estimated"


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


def _num_prefilled(sequence: Sequence) -> int:
    """Prompt tokens computed for this turn; a cancelled one may not have come to all of them."""
    reused = sequence.prefix.num_tokens
    if sequence.timeline.first_token is not None:
        return sequence.num_prompt_tokens - reused
    return max(sequence.buffer.length - reused, 0) if sequence.buffer else 0


def _decode_ms_per_token(sequence: Sequence) -> float | None:
    line = sequence.timeline
    if line.first_token is None or sequence.num_output_tokens < 2:
        return None
    return _ms(line.last_token - line.first_token) / (sequence.num_output_tokens - 1)


def _ms(seconds: float) -> float:
    return seconds * 1000
