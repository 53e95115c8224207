"""The shape that `warmturn bench --json` promises, field by field: these and no others."""

from typing import Any

PERCENTILES = {"p50", "p90", "p95", "p99"}
DOCUMENT = {
    *("scenario", "url", "model", "modes", "speedup", "verdict", "same_answers", "broken_promises", "partial", "run")
}
SPEEDUP = {"ttft_p50", "ttft_mean", "ttft_mean_ci95", "output_tokens_per_second"}
COMPARED = {"compared", "same", "promised"}
RUN = {
    *("command", "load", "seed", "conversations", "warm_up_turns_not_counted", "goodput_ttft_ms", "answers_end"),
    *("server_killed", "server", "machine", "started", "seconds", "notes"),
}
TIMES = {"ttft_ms", "itl_ms", "e2e_ms"}
MODE = {
    *TIMES,
    *("turns", "errors", "errors_by_kind", "turns_not_asked", "seconds_under_load"),
    *("output_tokens_per_second", "prompt_tokens", "output_tokens"),
    *("cached_tokens", "cached_tokens_by_tier", "saved_seconds", "misses", "goodput", "conversations", "by_turn"),
}
CONVERSATION = {"number", "turns", "ttft_ms", "e2e_ms"}
TURN = {"turn", "turns", "prompt_tokens", "computed_tokens"}
SAVED = {"measured", "estimated", "ci95", "estimated_ci95", "paired_turns"}
GOODPUT = {"turns", "share", "turns_per_second"}


def check_document(document: dict[str, Any]) -> None:
    assert set(document) == DOCUMENT
    assert set(document["speedup"]) == SPEEDUP
    assert document["same_answers"] is None or set(document["same_answers"]) == COMPARED
    assert set(document["run"]) == RUN
    for figures in document["modes"].values():
        check_mode(figures)


def check_mode(figures: dict[str, Any]) -> None:
    assert set(figures) == MODE
    assert isinstance(figures["turns"], int)
    assert isinstance(figures["errors"], int)
    for name in TIMES:
        assert set(figures[name]) == PERCENTILES
        known = [value for value in figures[name].values() if value is not None]
        assert known == sorted(known)
    saved = figures["saved_seconds"]
    assert set(saved) == SAVED
    assert saved["ci95"] is None or saved["ci95"][0] <= saved["ci95"][1]
    assert set(figures["goodput"]) == GOODPUT
    assert all(set(one) == CONVERSATION for one in figures["conversations"])
    assert sum(one["turns"] for one in figures["conversations"]) == figures["turns"]
    assert all(set(one) == TURN for one in figures["by_turn"])
    assert sum(one["turns"] for one in figures["by_turn"]) == figures["turns"]
