"""Every metric's name but those in `metrics_controls.py`, and the sums that `/v1/stats` shows to people."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from ..engine import Engine
from ..engine_api import FinishReason, Located, MissReason, ReuseMode, TurnReport
from .controls import ControlMetrics
from .vllm import VllmNames

_TTFT_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 60.0)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_RESTORE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_STEP_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)
_REMEMBERED_TURNS = 2000
_RECENT_SECONDS = 60
_PERCENTS = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class _EndedTurn:
    ended: float
    report: TurnReport


class Metrics:
    """Counts what the engine, the cache and the API report. One registry for each server."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # two series for each count say nothing more
        self.registry = CollectorRegistry()
        new = self.registry
        self._ttft = Histogram(
            "warmturn_time_to_first_token_seconds",
            "From the request's arrival to its first output token",
            ["reuse"],
            buckets=_TTFT_SECONDS,
            registry=new,
        )
        self._inter_token = Histogram(
            "warmturn_inter_token_latency_seconds",
            "Between output tokens of one sequence",
            buckets=_TOKEN_SECONDS,
            registry=new,
        )
        self._queue = Histogram(
            "warmturn_queue_seconds", "From arrival to admission", buckets=_TTFT_SECONDS, registry=new
        )
        self._prefill = Histogram(
            "warmturn_prefill_seconds",
            "From ready to first output token",
            ["reuse"],
            buckets=_TTFT_SECONDS,
            registry=new,
        )
        self._restore = Histogram(
            "warmturn_restore_seconds",
            "Bringing saved state back from a tier",
            ["tier"],
            buckets=_RESTORE_SECONDS,
            registry=new,
        )
        self._overhead = Histogram(
            "warmturn_step_overhead_seconds",
            "From one step's end to the next one's, what is not the forward pass",
            buckets=_STEP_SECONDS,
            registry=new,
        )
        self._forward = Histogram(
            "warmturn_forward_seconds", "The forward pass of a step", buckets=_TOKEN_SECONDS, registry=new
        )
        self._batch = Histogram(
            "warmturn_step_sequences", "Sequences in a step", buckets=(1, 2, 4, 8, 16, 32, 64, 128), registry=new
        )
        self._turns = Counter("warmturn_turns", "Turns that ended", ["reuse", "finish_reason"], registry=new)
        self._prompt_tokens = Counter(
            "warmturn_prompt_tokens", "Prompt tokens by where their state came from", ["source"], registry=new
        )
        self._output_tokens = Counter("warmturn_generation_tokens", "Output tokens", registry=new)
        self._saved = Gauge(
            "warmturn_saved_seconds_total",
            "Time to first token saved against recomputing; losses count as negative",
            ["source"],
            registry=new,
        )
        self._misses = Counter("warmturn_reuse_misses", "Turns whose reuse stopped early", ["reason"], registry=new)
        self._tier_failures = Counter("warmturn_tier_failures", "Times a tier was switched off", ["tier"], registry=new)
        self._saved_bytes = Counter("warmturn_state_written_bytes", "State written to the tiers", registry=new)
        self._dropped = Counter(
            "warmturn_saves_dropped", "Turns whose state was not saved for lack of time", registry=new
        )
        self._continued = Counter(
            "warmturn_conversation_turns",
            "Turns that continue a conversation, by the most distant tier its state came from",
            ["held"],
            registry=new,
        )
        self._warms = Counter(
            "warmturn_warms", "Requests to bring a conversation's state nearer", ["status"], registry=new
        )
        self._warmed = Counter(
            "warmturn_warmed_tokens", "Tokens of state brought nearer, by where they came from", ["tier"], registry=new
        )
        self.controls = ControlMetrics(new, self.saving_measured)
        self._requests = Counter("warmturn_http_requests", "HTTP requests", ["route", "status"], registry=new)
        self._begin_at_zero()
        self._lock = threading.Lock()
        self._turns_seen: deque[_EndedTurn] = deque(maxlen=_REMEMBERED_TURNS)
        self._instance = uuid.uuid4().hex
        self._started = time.monotonic()
        self._tokens_prefilled = self._tokens_generated = self._tokens_of_step = 0
        self._totals: Tally[str] = Tally()
        self._by_source: Tally[str] = Tally()
        self._by_reason: Tally[str] = Tally()
        self._by_held: Tally[str] = Tally()
        self._saved_seconds = {"estimated": 0.0, "measured": 0.0}

    def _begin_at_zero(self) -> None:
        """A count that appears only with its first event hides that event from everybody who asks for a rate."""
        for mode in ReuseMode:
            self._ttft.labels(mode.value)
            for reason in get_args(FinishReason):
                self._turns.labels(mode.value, reason)
        for held in ("resident", "ram", "disk", "redis", "nothing"):
            self._continued.labels(held)
        for status in ("warm", "started", "nothing_saved", "skipped"):
            self._warms.labels(status)
        for miss in MissReason:
            self._misses.labels(miss.value)
        for source in ("estimated", "measured"):
            self._saved.labels(source)

    def _tiers_begin_at_zero(self, tiers: Iterable[str]) -> None:
        for tier in tiers:
            self._prompt_tokens.labels(tier)
            self._restore.labels(tier)
            self._tier_failures.labels(tier)
            self._warmed.labels(tier)
        self._prompt_tokens.labels("computed")

    def watch(self, engine: Engine) -> None:
        """Show the engine's present state beside the counts."""
        self._tiers_begin_at_zero(engine.tier_names)
        self._vllm_names = VllmNames(self.registry, engine.model_name)
        self.registry.register(_EngineCollector(engine))
        Gauge("warmturn_requests_running", "Sequences in the batch", registry=self.registry).set_function(
            lambda: engine.num_running
        )
        Gauge("warmturn_requests_waiting", "Sequences in the queue", registry=self.registry).set_function(
            lambda: engine.num_waiting
        )
        self.controls.watch(lambda: engine.num_controls_waiting)

    def token(self, seconds_since_last: float) -> None:
        self._inter_token.observe(seconds_since_last)
        self._tokens_generated += 1
        self._tokens_of_step += 1

    def restored(self, tier: str, seconds: float) -> None:
        self._restore.labels(tier).observe(seconds)

    def step(self, num_sequences: int, num_tokens: int, forward_seconds: float, seconds: float) -> None:
        self._tokens_prefilled += num_tokens - self._tokens_of_step
        self._tokens_of_step = 0
        self._batch.observe(num_sequences)
        self._forward.observe(forward_seconds)
        self._overhead.observe(max(seconds - forward_seconds, 0.0))

    def turn_finished(self, report: TurnReport, num_output_tokens: int, reason: FinishReason) -> None:
        """Count a turn once, when it ended, however it ended."""
        mode = report.reuse.value
        self._turns.labels(mode, reason).inc()
        self._output_tokens.inc(num_output_tokens)
        self._queue.observe(report.queue_ms / 1000)
        if report.ttft_ms is not None:
            self._ttft.labels(mode).observe(report.ttft_ms / 1000)
        if report.prefill_ms is not None:
            self._prefill.labels(mode).observe(report.prefill_ms / 1000)
        sources = {**report.cached_by_tier, "computed": report.prefilled_tokens}
        for source, num_tokens in sources.items():
            self._prompt_tokens.labels(source).inc(num_tokens)
        if report.miss is not None:
            self._misses.labels(report.miss.reason.value).inc()
        with self._lock:
            self._turns_seen.append(_EndedTurn(time.monotonic(), report))
            self._tokens_generated += num_output_tokens > 0
            self._totals.update(turns=1, prompt_tokens=report.prompt_tokens, output_tokens=num_output_tokens)
            self._by_source.update(sources)
            if report.miss is not None:
                self._by_reason[report.miss.reason.value] += 1
            if report.reuse is ReuseMode.STATE and report.saved_ms is not None:
                self._save_seconds("estimated", report.saved_ms / 1000)

    def saving_measured(self, seconds: float) -> None:
        """A turn on saved state and the same turn computed in full were both timed; this is the difference."""
        with self._lock:
            self._save_seconds("measured", seconds)

    def conversation_continued(self, held_in: str) -> None:
        """`resident`, `ram` and `disk` are this server's own: the turn came where its conversation is."""
        self._continued.labels(held_in).inc()
        with self._lock:
            self._by_held[held_in] += 1

    def prefetch_asked(self, held: Located) -> None:
        self._warms.labels(held.status).inc()

    def prefetched(self, tier: str, num_tokens: int) -> None:
        self._warmed.labels(tier).inc(num_tokens)

    def prefetch_dropped(self) -> None:
        self._warms.labels("skipped").inc()

    def tier_failed(self, tier: str) -> None:
        self._tier_failures.labels(tier).inc()

    def state_saved(self, num_bytes: int) -> None:
        self._saved_bytes.inc(num_bytes)

    def save_dropped(self) -> None:
        self._dropped.inc()

    def http_request(self, route: str, status: int) -> None:
        self._requests.labels(route, str(status)).inc()

    def exposition(self) -> bytes:
        """Prometheus text."""
        return generate_latest(self.registry)

    def exposition_with_vllm_names(self) -> bytes:
        """The same, and then again under vLLM's names."""
        return self.exposition() + self._vllm_names.exposition()

    def snapshot(self) -> dict[str, object]:
        """Totals since start; percentiles over the latest turns, and over those of the last minute. Unknown is None.

        `instance` names this process: totals of another one count from zero. Rates are differences of totals over the
        difference of `uptime_seconds`. `tokens_prefilled` and `tokens_generated` grow while the engine works, whatever
        for; the totals of turns grow when one ends.
        """
        with self._lock:
            now = time.monotonic()
            turns = list(self._turns_seen)
            counted: dict[str, object] = {
                "instance": self._instance,
                "uptime_seconds": round(now - self._started, 3),
                "totals": {
                    "turns": self._totals["turns"],
                    "prompt_tokens": self._totals["prompt_tokens"],
                    "output_tokens": self._totals["output_tokens"],
                    "tokens_prefilled": self._tokens_prefilled,
                    "tokens_generated": self._tokens_generated,
                },
                "prompt_tokens_by_source": dict(self._by_source),
                "misses": dict(self._by_reason),
                "conversation_turns": dict(self._by_held),
                "saved_seconds": dict(self._saved_seconds),
            }
        recent = [turn for turn in turns if turn.ended >= now - _RECENT_SECONDS]
        return {
            **counted,
            "by_reuse": _by_reuse(turns),
            "recent": {"seconds": _RECENT_SECONDS, "by_reuse": _by_reuse(recent)},
            **self.controls.snapshot(),
        }

    def _save_seconds(self, source: str, seconds: float) -> None:
        self._saved_seconds[source] += seconds
        self._saved.labels(source).inc(seconds)


class _EngineCollector:
    """Reads gauges off the engine when they are asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> list[Metric]:
        stats = self._engine.stats()
        tiers = stats["tiers"]
        assert isinstance(tiers, dict)
        used = GaugeMetricFamily("warmturn_tier_bytes", "Bytes of state held", labels=["tier"])
        budget = GaugeMetricFamily("warmturn_tier_budget_bytes", "Bytes of state allowed", labels=["tier"])
        up = GaugeMetricFamily("warmturn_tier_up", "1 unless the tier is switched off after a failure", labels=["tier"])
        for name, tier in tiers.items():
            for family, value in ((used, tier["bytes"]), (budget, tier["budget_bytes"])):
                if value is not None:
                    family.add_metric([name], value)
            up.add_metric([name], float(tier.get("available", True)))
        error = stats["estimate_error"]
        accuracy = GaugeMetricFamily(
            "warmturn_recompute_estimate_error_ratio",
            "Median relative error of the recompute estimate against measured prefills",
            value=error if isinstance(error, float) else float("nan"),
        )
        return [used, budget, up, accuracy]


def _by_reuse(turns: Iterable[_EndedTurn]) -> dict[str, object]:
    reports = [turn.report for turn in turns]
    return {mode.value: _summary([report for report in reports if report.reuse is mode]) for mode in ReuseMode}


def _summary(reports: list[TurnReport]) -> dict[str, object]:
    return {
        "turns": len(reports),
        "ttft_ms": _percentiles([report.ttft_ms for report in reports]),
        "prefill_ms": _percentiles([report.prefill_ms for report in reports]),
        "decode_ms_per_token": _percentiles([report.decode_ms_per_token for report in reports]),
    }


def _percentiles(values: list[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    found = np.percentile(known, _PERCENTS).round(3).tolist() if known else [None] * len(_PERCENTS)
    return {f"p{percent}": value for percent, value in zip(_PERCENTS, found, strict=True)}
