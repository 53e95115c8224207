"""Every metric but those in `controls.py`: its name, its labels and its buckets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from ..engine import Engine
from ..engine_api import BrokenBecause, FinishReason, MissReason, ReuseMode
from ..errors import EngineFailed, NoNextToken, NothingAllowed
from .ahead import AheadCounts
from .savings import GainsAndLosses

_TTFT_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 60.0)
_TURN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_RESTORE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_STEP_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)


_MODEL_LABELS = ("model", "dtype", "context_length")


class Exposed:
    """What `/metrics` shows. Counters get the suffix `_total` there."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ttft = Histogram(
            "warmturn_time_to_first_token_seconds",
            "From the request's arrival to its first output token",
            ["reuse"],
            buckets=_TTFT_SECONDS,
            registry=registry,
        )
        self.inter_token = Histogram(
            "warmturn_inter_token_latency_seconds",
            "Between output tokens of one sequence",
            buckets=_TOKEN_SECONDS,
            registry=registry,
        )
        self.turn = Histogram(
            "warmturn_turn_seconds",
            "From the request's arrival to its last output token",
            ["reuse"],
            buckets=_TURN_SECONDS,
            registry=registry,
        )
        self.queue = Histogram(
            "warmturn_queue_seconds", "From arrival to admission", buckets=_TTFT_SECONDS, registry=registry
        )
        self.prefill = Histogram(
            "warmturn_prefill_seconds",
            "From ready to first output token",
            ["reuse"],
            buckets=_TTFT_SECONDS,
            registry=registry,
        )
        self.restore = Histogram(
            "warmturn_restore_seconds",
            "Bringing saved state back from a tier",
            ["tier"],
            buckets=_RESTORE_SECONDS,
            registry=registry,
        )
        self.overhead = Histogram(
            "warmturn_step_overhead_seconds",
            "From one step's end to the next one's, what is not the forward pass",
            buckets=_STEP_SECONDS,
            registry=registry,
        )
        self.forward = Histogram(
            "warmturn_forward_seconds", "The forward pass of a step", buckets=_TOKEN_SECONDS, registry=registry
        )
        self.batch = Histogram(
            "warmturn_step_sequences", "Sequences in a step", buckets=(1, 2, 4, 8, 16, 32, 64, 128), registry=registry
        )
        self.turns = Counter("warmturn_turns", "Turns that ended", ["reuse", "finish_reason"], registry=registry)
        self.failures = Counter("warmturn_turns_failed", "Turns that the model failed on", ["code"], registry=registry)
        self.prompt_tokens = Counter(
            "warmturn_prompt_tokens", "Prompt tokens by where their state came from", ["source"], registry=registry
        )
        self.output_tokens = Counter("warmturn_generation_tokens", "Output tokens", registry=registry)
        self.drafted = Counter("warmturn_drafted_tokens", "Output tokens computed on trial", registry=registry)
        self.accepted = Counter(
            "warmturn_accepted_tokens", "Tokens computed on trial that were chosen", registry=registry
        )
        self.savings = GainsAndLosses(registry)
        self.ahead = AheadCounts(registry)
        self.misses = Counter("warmturn_reuse_misses", "Turns whose reuse stopped early", ["reason"], registry=registry)
        self.tier_failures = Counter(
            "warmturn_tier_failures", "Times a tier was switched off", ["tier"], registry=registry
        )
        self.written_bytes = Counter("warmturn_state_written_bytes", "State written to the tiers", registry=registry)
        self.saves_dropped = Counter(
            "warmturn_saves_dropped", "Turns whose state was not saved for lack of time", registry=registry
        )
        self.continued = Counter(
            "warmturn_conversation_turns",
            "Turns that continue a conversation, by the most distant tier its state came from",
            ["held"],
            registry=registry,
        )
        self.prefetches = Counter(
            "warmturn_warms", "Requests to bring a conversation's state nearer", ["status"], registry=registry
        )
        self.prefetched_tokens = Counter(
            "warmturn_warmed_tokens",
            "Tokens of state brought nearer, by where they came from",
            ["tier"],
            registry=registry,
        )
        self.promises = Counter("warmturn_promises", "Promises to keep state that were given", registry=registry)
        self.promises_refused = Counter(
            "warmturn_promises_refused", "Requests for one that were refused", registry=registry
        )
        self.promises_broken = Counter(
            "warmturn_promises_broken",
            "Promises of whose state something went before its time",
            ["reason"],
            registry=registry,
        )
        self.requests = Counter("warmturn_http_requests", "HTTP requests", ["route", "status"], registry=registry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A count that appears only with its first event hides that event from everybody who asks for a rate."""
        for mode in ReuseMode:
            self.ttft.labels(mode.value)
            self.turn.labels(mode.value)
            for reason in get_args(FinishReason):
                self.turns.labels(mode.value, reason)
        for failure in (EngineFailed, NoNextToken, NothingAllowed):
            self.failures.labels(failure.code)
        for held in ("resident", "ram", "disk", "redis", "nothing"):
            self.continued.labels(held)
        for status in ("warm", "started", "nothing_saved", "skipped"):
            self.prefetches.labels(status)
        for reason in get_args(BrokenBecause):
            self.promises_broken.labels(reason)
        for miss in MissReason:
            self.misses.labels(miss.value)

    def tiers_begin_at_zero(self, tiers: Iterable[str]) -> None:
        for tier in tiers:
            self.prompt_tokens.labels(tier)
            self.restore.labels(tier)
            self.tier_failures.labels(tier)
            self.prefetched_tokens.labels(tier)
        self.prompt_tokens.labels("computed")


class EngineGauges:
    """Reads the engine's present state when it is asked for."""

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
        promises = stats["promises"]
        assert isinstance(promises, dict)
        promised = GaugeMetricFamily("warmturn_promised_bytes", "Bytes of state that are to stay", promises["bytes"])
        promisable = GaugeMetricFamily(
            "warmturn_promised_budget_bytes", "Bytes of state that may be promised", promises["budget_bytes"]
        )
        error = stats["estimate_error"]
        accuracy = GaugeMetricFamily(
            "warmturn_recompute_estimate_error_ratio",
            "Median relative error of the recompute estimate against measured prefills",
            value=error if isinstance(error, float) else float("nan"),
        )
        running = GaugeMetricFamily("warmturn_requests_running", "Sequences in the batch", self._engine.num_running)
        waiting = GaugeMetricFamily("warmturn_requests_waiting", "Sequences in the queue", self._engine.num_waiting)
        model = GaugeMetricFamily("warmturn_model_info", "The model that is served", labels=_MODEL_LABELS)
        model.add_metric([str(stats[name]) for name in _MODEL_LABELS], 1.0)
        return [used, budget, up, promised, promisable, accuracy, running, waiting, model]


def total(metric: Counter | Gauge) -> float:
    """Over all its labels."""
    return sum(sample.value for family in metric.collect() for sample in family.samples)


def by_label(metric: Counter | Gauge) -> dict[str, float]:
    """What a metric with a single label has counted for each of its values."""
    samples = (sample for family in metric.collect() for sample in family.samples)
    return {label: sample.value for sample in samples for label in sample.labels.values()}


def seen(counter: Counter) -> dict[str, int]:
    """The same of what was counted at least once."""
    return {label: int(count) for label, count in by_label(counter).items() if count}
