"""Who is told what happens in the engine and in the cache, one for each protocol; each counts it in one place."""

from __future__ import annotations

from ..engine_api import AheadCause, BrokenBecause, FinishReason, Located, ReuseMode, TurnReport
from .prometheus import Exposed
from .stats import Stats


class TurnCounts:
    """The engine's: it is told of tokens, steps and turns."""

    def __init__(self, exposed: Exposed, stats: Stats) -> None:
        self._exposed = exposed
        self._stats = stats

    def token(self, seconds_since_last: float) -> None:
        self._exposed.inter_token.observe(seconds_since_last)
        self._stats.token()

    def step(self, num_sequences: int, num_tokens: int, forward_seconds: float, seconds: float) -> None:
        self._stats.step(num_tokens)
        self._exposed.batch.observe(num_sequences)
        self._exposed.forward.observe(forward_seconds)
        self._exposed.overhead.observe(max(seconds - forward_seconds, 0.0))

    def restored(self, tier: str, seconds: float) -> None:
        self._exposed.restore.labels(tier).observe(seconds)

    def turn_finished(self, report: TurnReport, num_output_tokens: int, reason: FinishReason) -> None:
        """Count a turn once, when it ended, however it ended."""
        with self._stats.counting:
            self._exposed.turns.labels(report.reuse.value, reason).inc()
            self._exposed.output_tokens.inc(num_output_tokens)
            if report.drafts is not None:
                self._exposed.drafted.inc(report.drafts.drafted)
                self._exposed.accepted.inc(report.drafts.accepted)
            self._observe_times(report, num_output_tokens)
            sources = {**report.cached_by_tier, "computed": report.prefilled_tokens}
            for source, num_tokens in sources.items():
                self._exposed.prompt_tokens.labels(source).inc(num_tokens)
            if report.miss is not None:
                self._exposed.misses.labels(report.miss.reason.value).inc()
            self._count_saving(report)
            self._stats.turn_finished(report, num_output_tokens)

    def turn_failed(self, code: str) -> None:
        """The model failed on a turn; `code` is that of the caller's error."""
        self._exposed.failures.labels(code).inc()

    def ahead_begun(self, cause: AheadCause) -> None:
        self._exposed.ahead.begun.labels(cause).inc()

    def ahead_computed(self, cause: AheadCause, num_tokens: int, seconds: float) -> None:
        self._exposed.ahead.computed.labels(cause).inc(num_tokens)
        self._exposed.ahead.spent.labels(cause).inc(seconds)

    def ahead_used(self, cause: AheadCause, num_tokens: int, seconds: float | None) -> None:
        self._exposed.ahead.turns.labels(cause).inc()
        self._exposed.ahead.used.labels(cause).inc(num_tokens)
        self._exposed.ahead.saved.labels(cause).inc(seconds or 0.0)

    def saving_measured(self, seconds: float) -> None:
        """A turn on saved state and the same turn computed in full were both timed; this is the difference."""
        self._exposed.savings.add("measured", seconds)
        self._stats.savings.measured(seconds)

    def conversation_continued(self, held_in: str) -> None:
        """`resident`, `ram` and `disk` are this server's own: the turn came where its conversation is."""
        self._exposed.continued.labels(held_in).inc()

    def _count_saving(self, report: TurnReport) -> None:
        if report.reuse is not ReuseMode.STATE:
            return
        if report.saved_ms:
            self._exposed.savings.add("estimated", report.saved_ms / 1000)
        if report.cached_tokens or report.saved_ms:
            self._stats.savings.turn_reused(report)

    def _observe_times(self, report: TurnReport, num_output_tokens: int) -> None:
        mode = report.reuse.value
        self._exposed.queue.observe(report.queue_ms / 1000)
        if report.ttft_ms is not None:
            self._exposed.ttft.labels(mode).observe(report.ttft_ms / 1000)
            decoding = (num_output_tokens - 1) * (report.decode_ms_per_token or 0.0)
            self._exposed.turn.labels(mode).observe((report.ttft_ms + decoding) / 1000)
        if report.prefill_ms is not None:
            self._exposed.prefill.labels(mode).observe(report.prefill_ms / 1000)


class SaveCounts:
    def __init__(self, exposed: Exposed) -> None:
        self._exposed = exposed

    def state_saved(self, num_bytes: int) -> None:
        self._exposed.written_bytes.inc(num_bytes)

    def save_dropped(self) -> None:
        self._exposed.saves_dropped.inc()


class PrefetchCounts:
    def __init__(self, exposed: Exposed) -> None:
        self._exposed = exposed

    def prefetch_asked(self, held: Located) -> None:
        self._exposed.prefetches.labels(held.status).inc()

    def prefetched(self, tier: str, num_tokens: int) -> None:
        self._exposed.prefetched_tokens.labels(tier).inc(num_tokens)

    def prefetch_dropped(self) -> None:
        self._exposed.prefetches.labels("skipped").inc()


class PromiseCounts:
    def __init__(self, exposed: Exposed) -> None:
        self._exposed = exposed

    def promise_made(self) -> None:
        self._exposed.promises.inc()

    def promise_refused(self) -> None:
        self._exposed.promises_refused.inc()

    def promise_broken(self, reason: BrokenBecause) -> None:
        self._exposed.promises_broken.labels(reason).inc()


class TierCounts:
    def __init__(self, exposed: Exposed) -> None:
        self._exposed = exposed

    def tier_failed(self, tier: str) -> None:
        self._exposed.tier_failures.labels(tier).inc()
