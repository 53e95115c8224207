"""The sentence at the end, and the report's title: what the interval supports, and no more."""

from collections.abc import Sequence

import pytest
from tests.bench.making import recording, result, sample
from tests.bench.test_result import shown

from warmturn_bench.report.page import page
from warmturn_bench.result import BenchResult
from warmturn_bench.sample import Recording
from warmturn_bench.verdict import headline


def waits(*prompt_ms: float) -> BenchResult:
    """Of one turn of each conversation, 50 ms on saved state each time."""
    made = [sample("state", number, 0, 50.0) for number in range(len(prompt_ms))]
    return result(Recording(samples=[*made, *(sample("prompt", each, 0, ms) for each, ms in enumerate(prompt_ms))]))


@pytest.mark.parametrize(
    ("prompt_ms", "verdict", "title"),
    [
        (
            (150.0, 160.0, 170.0, 150.0, 160.0, 200.0),
            "With saved state first text comes 3.0x to 3.6x sooner (6 turns of 6 conversations, 95% interval).",
            "With saved state, answers begin 3.0x to 3.6x sooner",
        ),
        (
            (25.0,) * 5,
            "With saved state first text comes 2.0x later (5 turns of 5 conversations, 95% interval).",
            "With saved state, answers begin 2.0x later",
        ),
        (
            (52.0, 51.0, 52.0, 53.0, 51.0, 52.0),
            "With saved state first text comes 1.3 ms to 2.3 ms sooner a turn "
            "(6 turns of 6 conversations, 95% interval).",
            "With saved state, answers begin 1.3 ms to 2.3 ms sooner a turn",
        ),
        (
            (48.0,) * 5,
            "With saved state first text comes 2.0 ms later a turn (5 turns of 5 conversations, 95% interval).",
            "With saved state, answers begin 2.0 ms later a turn",
        ),
        (
            (50.0,) * 5,
            "No clear difference: with saved state first text comes between 0.0 ms later and 0.0 ms sooner a turn "
            "(5 turns of 5 conversations, 95% interval).",
            "No clear difference in when answers begin",
        ),
        (
            (70.0, 70.0),
            "No verdict: first text came 1.4x sooner with saved state in 2 turns of 2 conversations; "
            "an interval takes 5 conversations.",
            "In 2 conversations, answers began 1.4x sooner with saved state",
        ),
        (
            (21.0,),
            "No verdict: first text came 2.3x later with saved state in 1 turn of 1 conversation; "
            "an interval takes 5 conversations.",
            "In 1 conversation, answers began 2.3x later with saved state",
        ),
        ((), "No verdict: no turn was answered both with saved state and without.", "No turn was answered"),
    ],
    ids=["gain", "loss", "small gain", "small loss", "equal", "few", "few and lost", "none"],
)
def test_the_verdict_follows_the_interval(prompt_ms: Sequence[float], verdict: str, title: str) -> None:
    found = waits(*prompt_ms)
    assert found.verdict == verdict
    assert headline(found.modes) == title


def test_one_mode_alone_has_no_verdict() -> None:
    found = waits(70.0)
    alone = result(Recording(), modes={"state": found.modes["state"]})
    assert alone.verdict == "No verdict: that takes both modes, state and prompt."


def test_it_is_what_the_terminal_ends_with_and_what_the_report_says() -> None:
    made = recording()
    found = result(made)
    assert shown(found).rstrip().endswith(f"Verdict: {found.verdict}")
    assert f"<h1>{headline(found.modes)}</h1>" in page(found, made)
    assert f"<li>{found.verdict}</li>" in page(found, made)
