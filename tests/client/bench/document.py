"""The shape that `warmturn bench --json` promises, field by field."""

from typing import Any

PERCENTILES = {"p50", "p90", "p95", "p99"}


def check_document(document: dict[str, Any]) -> None:
    assert {"scenario", "url", "model", "modes", "speedup"} <= set(document)
    assert set(document["speedup"]) == {"ttft_p50", "output_tokens_per_second"}
    for figures in document["modes"].values():
        check_mode(figures)


def check_mode(figures: dict[str, Any]) -> None:
    assert isinstance(figures["turns"], int)
    assert isinstance(figures["errors"], int)
    for name in ("ttft_ms", "itl_ms", "e2e_ms"):
        assert set(figures[name]) == PERCENTILES
        known = [value for value in figures[name].values() if value is not None]
        assert known == sorted(known)
    assert {"output_tokens_per_second", "prompt_tokens", "cached_tokens_by_tier"} <= set(figures)
    saved = figures["saved_seconds"]
    assert {"measured", "estimated", "ci95"} <= set(saved)
    assert saved["ci95"] is None or saved["ci95"][0] <= saved["ci95"][1]
