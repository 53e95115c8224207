"""The names of what is counted: dashboards and scripts rely on them, so none changes by accident."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.server import ServerProcess

METRICS: Final[Mapping[str, tuple[str, ...]]] = {
    "warmturn_accepted_tokens counter": (),
    "warmturn_drafted_tokens counter": (),
    "warmturn_ahead_prompts counter": ("cause",),
    "warmturn_ahead_turns counter": ("cause",),
    "warmturn_ahead_computed_tokens counter": ("cause",),
    "warmturn_ahead_used_tokens counter": ("cause",),
    "warmturn_ahead_spent_seconds counter": ("cause",),
    "warmturn_ahead_saved_seconds counter": ("cause",),
    "warmturn_audit_deviation_ratio histogram": (),
    "warmturn_audit_noise_floor gauge": (),
    "warmturn_audits counter": ("result",),
    "warmturn_control_backlog gauge": (),
    "warmturn_build_info gauge": ("python", "torch", "transformers", "warmturn"),
    "warmturn_control_spared_seconds counter": ("mode",),
    "warmturn_control_spent_seconds counter": ("mode",),
    "warmturn_control_turns counter": ("mode",),
    "warmturn_control_turns_dropped counter": ("reason",),
    "warmturn_conversation_turns counter": ("held",),
    "warmturn_estimate_bias_seconds gauge": ("bound",),
    "warmturn_forward_seconds histogram": (),
    "warmturn_gained_seconds counter": ("source",),
    "warmturn_generation_tokens counter": (),
    "warmturn_http_requests counter": ("route", "status"),
    "warmturn_inter_token_latency_seconds histogram": (),
    "warmturn_lost_seconds counter": ("source",),
    "warmturn_model_info gauge": ("context_length", "dtype", "model"),
    "warmturn_prefill_seconds histogram": ("reuse",),
    "warmturn_prompt_tokens counter": ("source",),
    "warmturn_quarantined_blocks counter": (),
    "warmturn_promised_budget_bytes gauge": (),
    "warmturn_promised_bytes gauge": (),
    "warmturn_promises counter": (),
    "warmturn_promises_broken counter": ("reason",),
    "warmturn_promises_refused counter": (),
    "warmturn_queue_seconds histogram": (),
    "warmturn_recompute_estimate_error_ratio gauge": (),
    "warmturn_requests_running gauge": (),
    "warmturn_requests_waiting gauge": (),
    "warmturn_restore_seconds histogram": ("tier",),
    "warmturn_reuse_misses counter": ("reason",),
    "warmturn_saved_seconds_measured gauge": ("bound",),
    "warmturn_saves_dropped counter": (),
    "warmturn_state_written_bytes counter": (),
    "warmturn_step_overhead_seconds histogram": (),
    "warmturn_step_sequences histogram": (),
    "warmturn_tier_budget_bytes gauge": ("tier",),
    "warmturn_tier_bytes gauge": ("tier",),
    "warmturn_tier_failures counter": ("tier",),
    "warmturn_tier_up gauge": ("tier",),
    "warmturn_time_to_first_token_seconds histogram": ("reuse",),
    "warmturn_turn_seconds histogram": ("reuse",),
    "warmturn_turns_failed counter": ("code",),
    "warmturn_turns counter": ("finish_reason", "reuse"),
    "warmturn_warmed_tokens counter": ("tier",),
    "warmturn_warms counter": ("status",),
}
UNDER_VLLMS_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "vllm:e2e_request_latency_seconds histogram": ("model_name", "reuse"),
    "vllm:generation_tokens counter": ("model_name",),
    "vllm:inter_token_latency_seconds histogram": ("model_name",),
    "vllm:num_requests_running gauge": ("model_name",),
    "vllm:num_requests_waiting gauge": ("model_name",),
    "vllm:prefix_cache_hits counter": ("model_name",),
    "vllm:prefix_cache_queries counter": ("model_name",),
    "vllm:prompt_tokens counter": ("model_name",),
    "vllm:prompt_tokens_cached counter": ("model_name",),
    "vllm:request_prefill_time_seconds histogram": ("model_name", "reuse"),
    "vllm:request_queue_time_seconds histogram": ("model_name",),
    "vllm:time_to_first_token_seconds histogram": ("model_name", "reuse"),
}
TTFT_BUCKETS: Final = "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 60.0 +Inf"

_LATENCIES: Final = {name: {"p50", "p90", "p95", "p99"} for name in ("ttft_ms", "prefill_ms", "decode_ms_per_token")}
_TIER: Final = {"bytes", "budget_bytes", "blocks", "available", "bytes_per_second"}
STATS: Final[Mapping[str, set[str]]] = {
    "": {
        *(
            "model",
            "dtype",
            "threads",
            "context_length",
            "kv_bytes_per_token",
            "executor",
            "running",
            "waiting",
            "tiers",
        ),
        *("prefill_ms_per_1000_tokens", "estimate_error", "instance", "uptime_seconds", "totals"),
        *("prompt_tokens_by_source", "misses", "conversation_turns", "saved_seconds", "by_reuse", "recent"),
        *("controls", "audits", "recent_misses", "ahead", "promises"),
    },
    "executor": {
        "kind",
        "declined",
        "weights",
        "exact",
        "layers_in_dtype",
        "layers_as_filed",
        "kept_in_file",
        "weight_bytes",
        "resident_weight_bytes",
    },
    "tiers": {"resident", "ram", "disk"},
    "tiers.resident": {"bytes", "budget_bytes", "conversations"},
    "tiers.ram": _TIER,
    "tiers.disk": _TIER,
    "totals": {
        *("turns", "prompt_tokens", "output_tokens", "drafted_tokens", "accepted_tokens"),
        *("tokens_prefilled", "tokens_generated"),
    },
    "prompt_tokens_by_source": {"resident", "ram", "disk", "computed"},
    "saved_seconds": {"estimated", "measured"},
    "saved_seconds.estimated": {"value", "ci95", "turns", "unknown_turns"},
    "saved_seconds.measured": {"value", "ci95", "turns"},
    "by_reuse": {"state", "prompt", "nothing"},
    "by_reuse.state": {"turns", *_LATENCIES},
    **{f"by_reuse.state.{name}": percents for name, percents in _LATENCIES.items()},
    "recent": {"seconds", "by_reuse"},
    "recent.by_reuse": {"state", "prompt", "nothing"},
    "recent.by_reuse.state": {"turns", *_LATENCIES},
    "controls": {
        *("turns", "dropped", "backlog", "cost_seconds", "reused_turns", "measured_turns", "saved_seconds"),
        "estimate_bias_seconds",
    },
    "controls.cost_seconds": {"replace", "shadow"},
    "audits": {
        *("clean", "breach", "inconclusive", "noise_floor", "last_deviation", "quarantined_blocks"),
        "recent_breaches",
    },
}


@pytest.fixture(scope="module")
def used(shared_server: ServerProcess) -> ServerProcess:
    """After at least one turn."""
    with shared_server.client() as http:
        assert http.post("/v1/responses", json={"input": "who?", "max_output_tokens": 2}).is_success
    return shared_server


def families(server: ServerProcess, names: str) -> dict[str, tuple[str, ...]]:
    """Each metric's name and type, with its labels but for buckets' own. What tells of the process is not ours."""
    with server.client() as http:
        text = http.get("/metrics", params={"names": names}).text
    return {
        f"{family.name} {family.type}": tuple(sorted({label for s in family.samples for label in s.labels} - {"le"}))
        for family in text_string_to_metric_families(text)
        if not family.name.startswith("process_")
    }


def test_the_metrics_have_these_names_types_and_labels(used: ServerProcess) -> None:
    assert families(used, "warmturn") == METRICS


def test_vllms_names_stand_beside_them(used: ServerProcess) -> None:
    assert families(used, "vllm") == {**METRICS, **UNDER_VLLMS_NAMES}


def test_the_time_to_first_token_has_these_buckets(used: ServerProcess) -> None:
    with used.client() as http:
        lines = http.get("/metrics").text.splitlines()
    of_state = [
        line for line in lines if line.startswith("warmturn_time_to_first_token_seconds_bucket") and "state" in line
    ]
    assert " ".join(line.split('le="')[1].split('"')[0] for line in of_state) == TTFT_BUCKETS


@pytest.mark.parametrize("path", STATS)
def test_stats_have_these_keys(path: str, used: ServerProcess) -> None:
    with used.client() as http:
        found: Any = http.get("/v1/stats").json()
    for name in filter(None, path.split(".")):
        found = found[name]
    assert set(found) == STATS[path]
