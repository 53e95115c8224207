"""The line under each turn says what happened, no more."""

from typing import Any

import pytest
from tests.client.fake_server import REPORT, response

from warmturn.format import milliseconds, times, turn_line
from warmturn.report import TurnReport
from warmturn.wire import parse_turn


def report(**changes: Any) -> TurnReport:
    return parse_turn(response("x", **changes)).report


def test_the_line_of_the_design() -> None:
    assert turn_line(report()) == "TTFT 38 ms · 1,186 of 1,204 tokens reused (ram) · saved about 1.44 s (36x)"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"cached_tokens": 0, "cached_by_tier": {}, "saved_ms": 0.0, "ttft_ms": 38.2},
            "TTFT 38 ms · 0 of 1,204 tokens reused",
        ),
        (
            {"cached_by_tier": {"ram": 1000, "disk": 186}},
            "TTFT 38 ms · 1,186 of 1,204 tokens reused (1,000 ram, 186 disk) · saved about 1.44 s (36x)",
        ),
        (
            {"saved_ms": -12.0, "saved_ms_ci95": [-15.0, -9.0]},
            "TTFT 38 ms · 1,186 of 1,204 tokens reused (ram) · lost about 12 ms",
        ),
        (
            {"saved_ms": 12.0, "saved_ms_ci95": [-5.0, 29.0]},
            "TTFT 38 ms · 1,186 of 1,204 tokens reused (ram) · no clear difference",
        ),
        ({"saved_ms": None}, "TTFT 38 ms · 1,186 of 1,204 tokens reused (ram)"),
        (
            {"saved_ms": 3.0, "saved_ms_ci95": [2.0, 4.0]},
            "TTFT 38 ms · 1,186 of 1,204 tokens reused (ram) · saved about 3.0 ms",
        ),
        (
            {
                "cached_tokens": 512,
                "cached_by_tier": {"ram": 512},
                "miss": {"at_token": 512, "reason": "history_rewritten"},
            },
            "TTFT 38 ms · 512 of 1,204 tokens reused (ram) · saved about 1.44 s (36x) · "
            "reuse stopped at token 512 (history rewritten)",
        ),
        (
            {"reuse": "prompt", "cached_tokens": 0, "prefilled_tokens": 1204, "cached_by_tier": {}, "ttft_ms": 1480.2},
            "TTFT 1.48 s · 1,204 tokens computed, reuse off (prompt)",
        ),
        (
            {"drafts": {"drafted": 1200, "accepted": 21}},
            "TTFT 38 ms · 1,186 of 1,204 tokens reused (ram) · saved about 1.44 s (36x) · 21 of 1,200 guesses right",
        ),
        ({"ttft_ms": None}, "1,186 of 1,204 tokens reused (ram) · saved about 1.44 s"),
    ],
)
def test_other_lines(changes: dict[str, object], line: str) -> None:
    assert turn_line(report(**changes)) == line


def test_gains_are_rounded_down() -> None:
    assert [times(38.99), times(9.99), times(1.0), times(0.58)] == ["38x", "9.9x", "1.0x", "0.5x"]


def test_times_have_the_digits_that_matter() -> None:
    shown = [milliseconds(ms) for ms in (0.04, 6.14, 9.96, 38.2, 999.4, 1442.9, -12.3)]
    assert shown == ["0.0 ms", "6.1 ms", "10 ms", "38 ms", "999 ms", "1.44 s", "-12 ms"]


def test_the_fake_report_has_every_field_of_the_wire() -> None:
    only_when_asked = {"prompt_token_ids", "output_token_ids", "lookback"}
    assert set(REPORT) | only_when_asked == set(TurnReport.__slots__)
