"""All that one server counts: who is told what, and what is shown of it."""

from __future__ import annotations

import platform
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics, generate_latest

from ..engine import Engine
from .controls import ControlMetrics
from .observers import PrefetchCounts, PromiseCounts, SaveCounts, TierCounts, TurnCounts
from .prometheus import EngineGauges, Exposed
from .stats import Stats
from .vllm import VllmNames


class Metrics:
    """An observer for each part of the server, and what the API shows. One registry for each server."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # two series for each count say nothing more
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        _tell_build(self.registry)
        self._exposed = Exposed(self.registry)
        self._stats = Stats(self._exposed)
        self.turns = TurnCounts(self._exposed, self._stats)
        self.saves = SaveCounts(self._exposed)
        self.prefetches = PrefetchCounts(self._exposed)
        self.tiers = TierCounts(self._exposed)
        self.promises = PromiseCounts(self._exposed)
        self.controls = ControlMetrics(self.registry, self.turns.saving_measured)

    def watch(self, engine: Engine) -> None:
        """Show the engine's present state beside the counts."""
        self._exposed.tiers_begin_at_zero(engine.tier_names)
        self._vllm_names = VllmNames(self.registry, engine.model_name)
        self.registry.register(EngineGauges(engine))
        self.controls.watch(lambda: engine.num_controls_waiting)

    def http_request(self, route: str, status: int) -> None:
        self._exposed.requests.labels(route, str(status)).inc()

    def exposition(self) -> bytes:
        """Prometheus text."""
        return generate_latest(self.registry)

    def exposition_with_vllm_names(self) -> bytes:
        """The same, and then again under vLLM's names."""
        return self.exposition() + self._vllm_names.exposition()

    def snapshot(self) -> dict[str, object]:
        """For `/v1/stats`; unknown is None."""
        return {**self._stats.snapshot(), **self.controls.snapshot()}


def _tell_build(registry: CollectorRegistry) -> None:
    """Always 1: what is told stands in the labels, to be joined to other series."""
    told = {name: version(name) for name in ("warmturn", "torch", "transformers")}
    told["python"] = platform.python_version()
    info = Gauge("warmturn_build_info", "What this server is made of", list(told), registry=registry)
    info.labels(**told).set(1)
