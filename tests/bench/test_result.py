"""The document, what counts as a broken promise, and what the table says."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from tests.bench.document import check_document
from tests.bench.making import MODES, recording, result, sample

from warmturn_bench.by_turn import turn_figures
from warmturn_bench.report.tables import tiles
from warmturn_bench.result import BenchResult, compare_answers
from warmturn_bench.sample import Recording, Sample
from warmturn_bench.stats import mode_figures
from warmturn_bench.summary import findings, show
from warmturn_bench.verdict import headline


def shown(found: BenchResult, width: int = 200) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=width < 200, color_system=None)
    show(console, found)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_document_has_the_promised_shape_and_figures() -> None:
    document = json.loads(json.dumps(result(recording()).as_dict()))
    check_document(document)
    state, prompt = document["modes"]["state"], document["modes"]["prompt"]
    assert state["ttft_ms"] == {"p50": 22.0, "p90": 25.0, "p95": 25.0, "p99": 25.0}
    assert (state["turns"], state["errors"], state["prompt_tokens"]) == (30, 0, 3000)
    assert state["output_tokens_per_second"] == 24.0
    assert state["cached_tokens_by_tier"] == {"resident": 720, "ram": 0, "disk": 720}
    assert state["saved_seconds"]["measured"] == pytest.approx(6 * (0.03 + 0.06 + 0.09 + 0.12))
    assert state["saved_seconds"]["estimated"] == pytest.approx(0.3)
    assert state["goodput"] == {"turns": 30, "share": 1.0, "turns_per_second": 3.0}
    assert prompt["goodput"]["turns"] == 6 + 1
    assert prompt["saved_seconds"]["measured"] is None
    assert document["speedup"] == {
        "ttft_p50": 3.727,
        "ttft_mean": 3.667,
        "ttft_mean_ci95": document["speedup"]["ttft_mean_ci95"],
        "output_tokens_per_second": 2.0,
    }
    assert document["verdict"].startswith("With saved state first text comes ")
    assert state["conversations"][1] == {"number": 1, "turns": 5, "ttft_ms": 5 * 21.0, "e2e_ms": 5 * 71.0}


def test_nothing_measured_is_null_not_zero() -> None:
    document = result(Recording()).as_dict()
    check_document(document)
    for figures in document["modes"].values():
        assert (figures["turns"], figures["errors"]) == (0, 0)
        assert set(figures["ttft_ms"].values()) == {None}
        assert figures["prompt_tokens"] is figures["output_tokens_per_second"] is None
        assert figures["cached_tokens_by_tier"] is figures["saved_seconds"]["measured"] is None
    assert set(document["speedup"].values()) == {None}
    assert document["same_answers"] is None


def test_one_turn_without_a_figure_makes_the_sum_unknown() -> None:
    samples = [sample("state", 0, 0, 1.0), sample("state", 0, 1, 1.0, cached_tokens=None, output_tokens=None)]
    figures = mode_figures("state", samples, 1.0, 0, 50.0, 1)
    assert figures.cached_tokens is figures.output_tokens is figures.output_tokens_per_second is None
    assert figures.prompt_tokens == 200


def _with(*more: Sample) -> BenchResult:
    made = recording()
    made.samples.extend(more)
    return result(made)


def test_failed_turns_are_counted_by_kind_and_in_no_other_figure() -> None:
    failed = Sample(sample("state", 9, 0, 1.0).asked, error="busy (503)")
    found = _with(failed, replace(failed, error="timeout"), failed)
    state = found.modes["state"]
    assert (state.turns, state.errors, state.errors_by_kind) == (30, 3, {"busy (503)": 2, "timeout": 1})
    assert len(state.ttft_ms) == 30
    assert state.as_dict()["goodput"]["share"] == 0.909, "30 of 33: a turn that failed was not answered in time"
    assert found.failed
    assert "Failed in mode state: 2 turns, busy (503)." in shown(found)


def test_a_turn_that_was_not_recomputed_breaks_a_promise() -> None:
    found = _with(Sample(sample("prompt", 9, 0, 1.0).asked, error="not recomputed"))
    assert list(found.broken_promises()) == [
        "turns in mode prompt that the server was to compute in full and did not: 1"
    ]
    assert "BROKEN: turns in mode prompt" in shown(found)


def test_other_answers_break_a_promise_only_where_they_were_promised() -> None:
    other = [sample("state", 9, 0, 1.0), sample("prompt", 9, 0, 1.0, text="ho")]
    found = _with(*other)
    assert found.failed
    assert "different answers in different modes" in shown(found)
    assert not replace(found, exact=False).failed
    assert "30 of 31 turns" in shown(replace(found, exact=False))


def test_answers_are_compared_up_to_where_histories_part() -> None:
    samples = [sample(mode, 0, turn, 1.0, text="a" if turn != 1 else mode) for mode in MODES for turn in range(4)]
    compared = compare_answers(samples)
    assert compared is not None
    assert (compared.compared, compared.same) == (2, 1)
    assert compare_answers([sample("state", 0, 0, 1.0)]) is None


def test_a_server_that_was_never_killed_breaks_the_promise_of_a_restart() -> None:
    found = result(recording())
    survived = replace(found, circumstances=replace(found.circumstances, was_to_be_killed=True, kills=0))
    assert survived.failed
    assert "BROKEN: the server was to be killed half-way" in shown(survived)
    assert not list(replace(survived, partial=True).broken_promises())
    assert not replace(found, circumstances=replace(found.circumstances, was_to_be_killed=True)).failed


def test_a_good_run_has_not_failed() -> None:
    assert not result(recording()).failed
    assert result(recording()).as_dict()["broken_promises"] == []


def test_the_table_shows_unknown_as_a_question_mark() -> None:
    text = " ".join(shown(result(recording())).split())
    assert "6 conversations, seed 1" in text
    assert "time to first text p50 22 ms 82 ms 102 ms" in text
    assert "seconds saved, measured 1.8 ? ?" in text
    assert "First text after 22 ms with saved state, after 82 ms without (medians; 3.7x)." in text


def test_at_a_terminal_no_word_of_a_sentence_is_broken() -> None:
    found = result(recording())
    narrow = shown(found, 100)
    assert all(len(line) <= 100 for line in narrow.splitlines())
    assert found.verdict not in narrow and found.verdict in " ".join(narrow.split())


@pytest.mark.parametrize("per_conversation", [1, 6], ids=["six conversations", "one conversation"])
def test_medians_that_differ_by_chance_are_no_clear_difference(per_conversation: int) -> None:
    """1.4 times by the medians, and as much lost as gained in all."""
    waits = (70.0, 70.0, 70.0, 70.0, 10.0, 10.0)
    places = [divmod(number, per_conversation) for number in range(len(waits))]
    made = Recording(samples=[sample("state", *place, 50.0) for place in places])
    made.samples += [sample("prompt", *place, wait) for place, wait in zip(places, waits, strict=True)]
    said = " ".join(findings(result(made)))
    assert headline(result(made).modes) == "No clear difference in when answers begin"
    assert "without (medians; no clear difference)." in said
    assert "That is no clear difference." in said
    assert "no clear difference</b><span>in waiting over 6 turns" in tiles(result(made))


def test_the_servers_estimate_is_called_about_and_has_its_interval() -> None:
    known = {"saved_ms": 90.0, "saved_ms_ci95": (80.0, 120.0)}
    made = Recording(samples=[sample("state", 0, turn, 20.0, **known) for turn in (0, 1)])
    assert "Saved, by the server's own estimate: about 0.18 s (0.16 to 0.24 s)." in list(findings(result(made)))
    made.samples.append(sample("state", 0, 2, 20.0, saved_ms=None))
    assert not any("estimate" in sentence for sentence in findings(result(made))), "one that is unknown leaves no sum"


def test_an_agents_steps_are_told_one_by_one_and_nobody_elses() -> None:
    made = recording(conversations=2, turns=2)
    said = "Prompt tokens computed, step by step (averages): 100 of 100, 40 of 100."
    assert said in list(findings(result(made, scenario="agent")))
    assert not any("step by step" in sentence for sentence in findings(result(made)))
    by_turn = result(made).as_dict()["modes"]["state"]["by_turn"]
    assert by_turn[1] == {"turn": 1, "turns": 2, "prompt_tokens": 200, "computed_tokens": 80}
    assert next(iter(turn_figures([sample("state", 0, 0, 1.0, cached_tokens=None)]))).in_words == "?"
