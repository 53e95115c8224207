"""`/v1/stats` as people read it."""

from typing import Any

from warmturn.cli.stats_view import stats_lines

FIGURES: dict[str, Any] = {
    "model": "bundled",
    "dtype": "float32",
    "context_length": 4096,
    "running": 1,
    "waiting": 0,
    "totals": {"turns": 12000, "prompt_tokens": 9, "output_tokens": 9},
    "prompt_tokens_by_source": {"computed": 3000, "ram": 1186},
    "saved_seconds": {
        "estimated": {"value": 12.5, "ci95": [11.0, 14.0], "turns": 9, "unknown_turns": 1},
        "measured": {"value": -0.012, "ci95": [-0.02, 0.01], "turns": 3},
    },
    "misses": {"recompute_faster": 3},
    "conversation_turns": {"resident": 5, "redis": 1},
    "by_reuse": {
        "state": {"turns": 11999, "ttft_ms": {"p50": 38.2, "p95": 1200.0}, "decode_ms_per_token": {"p50": 1.25}},
        "nothing": {"turns": 0, "ttft_ms": {"p50": None, "p95": None}, "decode_ms_per_token": {"p50": None}},
    },
    "tiers": {
        "resident": {"bytes": 2048, "budget_bytes": 2**31},
        "disk": {"bytes": 0, "budget_bytes": 2**33, "bytes_per_second": 2**30, "available": False},
    },
}


def test_the_figures_of_a_server() -> None:
    assert list(stats_lines(FIGURES)) == [
        "bundled, float32, context 4,096",
        "turns    12,000 done, 1 running, 0 waiting",
        "tokens   3,000 computed, 1,186 ram",
        "held in  5 resident, 1 redis",
        "saved    no clear difference (-20 ms to 10 ms) on 3 turns timed twice",
        "         about 12.50 s (11.00 s to 14.00 s), estimated",
        "misses   3 recompute faster",
        "",
        "mode      turns  TTFT p50     p95  per token",
        "state    11,999     38 ms  1.20 s     1.2 ms",
        "nothing       0         -       -          -",
        "",
        "tier         held       of                         speed",
        "resident  2.0 KiB  2.0 GiB                             -",
        "disk          0 B  8.0 GiB  switched off after a failure",
    ]


def test_a_server_that_says_less_is_shown_too() -> None:
    assert list(stats_lines({"by_reuse": {"state": {}}, "tiers": {"ram": None}}))
    assert list(stats_lines({}))


def test_what_control_turns_measured() -> None:
    saved = {"value": 12.1, "ci95": [11.0, 13.2]}
    audits = {"clean": 41, "breach": 1, "inconclusive": 0}
    lines = list(stats_lines({"controls": {"measured_turns": 42, "saved_seconds": saved}, "audits": audits}))
    assert "saved    12.10 s (11.00 s to 13.20 s) by 42 control turns" in lines
    assert "audits   1 breach, 41 clean, 0 inconclusive" in lines
    one = list(stats_lines({"controls": {"measured_turns": 1, "saved_seconds": {"value": -2.0, "ci95": None}}}))
    assert "saved    lost 2.00 s by 1 control turn" in one
    assert "saved    not known yet" in list(stats_lines({}))
