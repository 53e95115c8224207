"""The same figures under vLLM's names, so that dashboards and load tools made for it can read this server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric

_RENAMED: Final = {
    "warmturn_time_to_first_token_seconds": "vllm:time_to_first_token_seconds",
    "warmturn_inter_token_latency_seconds": "vllm:inter_token_latency_seconds",
    "warmturn_turn_seconds": "vllm:e2e_request_latency_seconds",
    "warmturn_queue_seconds": "vllm:request_queue_time_seconds",
    "warmturn_prefill_seconds": "vllm:request_prefill_time_seconds",
    "warmturn_requests_running": "vllm:num_requests_running",
    "warmturn_requests_waiting": "vllm:num_requests_waiting",
    "warmturn_generation_tokens": "vllm:generation_tokens",
}


class VllmNames:
    """Reads one registry and shows it under the other names; labels stay, `model_name` is added."""

    def __init__(self, registry: CollectorRegistry, model_name: str) -> None:
        self._registry = registry
        self._model_name = model_name

    def exposition(self) -> bytes:
        """Prometheus text."""
        renamed = CollectorRegistry()
        renamed.register(self)
        return generate_latest(renamed)

    def collect(self) -> Iterator[Metric]:
        families = {family.name: family for family in self._registry.collect()}
        for ours, theirs in _RENAMED.items():
            yield self._renamed(families[ours], theirs)
        yield from self._prompt_tokens(families["warmturn_prompt_tokens"])

    def _renamed(self, family: Metric, name: str) -> Metric:
        renamed = Metric(name, family.documentation, family.type)
        for sample in family.samples:
            labels = {**sample.labels, "model_name": self._model_name}
            renamed.add_sample(name + sample.name.removeprefix(family.name), labels, sample.value)
        return renamed

    def _prompt_tokens(self, family: Metric) -> Iterable[Metric]:
        by_source = {s.labels["source"]: s.value for s in family.samples if s.name.endswith("_total")}
        total = sum(by_source.values())
        cached = total - by_source.get("computed", 0.0)
        counts = {"prompt_tokens": total, "prompt_tokens_cached": cached}
        counts |= {"prefix_cache_queries": total, "prefix_cache_hits": cached}
        for name, value in counts.items():
            counter = CounterMetricFamily(f"vllm:{name}", family.documentation, labels=["model_name"])
            counter.add_metric([self._model_name], value)
            yield counter
