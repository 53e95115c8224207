"""What the demo found, as a document, as an exit code and as it is drawn; and which promises broke."""

import json
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.client.fake_server import response
from typer.testing import CliRunner

from warmturn.cli.app import app
from warmturn.cli.demo import command as demo_command
from warmturn.cli.demo.next_steps import after_demo
from warmturn.cli.demo.result import DemoResult, DemoTurn, Recall, Restart
from warmturn.cli.demo.view import View
from warmturn.wire import parse_turn

TURNS = tuple(
    DemoTurn(
        n, 50 * n, 0 if n == 1 else 50 * n - 10, 10, {"state": 8.0, "prompt": 10.0 * n, "nothing": 11.0 * n}, True, "hi"
    )
    for n in range(1, 15)
)
GOOD = DemoResult("tiny", TURNS, Restart(7, 340, "disk", True), Recall(5, 5), recall_promised=True, dtype="float32")


def shown(result: DemoResult) -> str:
    console = Console(file=StringIO(), width=100)
    View(console).verdict(result)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_document_has_exactly_the_promised_fields() -> None:
    document = json.loads(json.dumps(GOOD.as_dict()))
    assert set(document) == {"model", "turns", "restart", "recall", "speedup_last_turn", "ok"}
    tokens = {"prompt_tokens", "cached_tokens", "prefilled_tokens", "reply_tokens", "left_out_tokens"}
    fields = {"turn", "ttft_ms", "same_tokens", "text", *tokens}
    assert all(set(turn) == fields for turn in document["turns"])
    assert all(set(turn["ttft_ms"]) == {"state", "prompt", "nothing"} for turn in document["turns"])
    assert document["restart"] == {"after_turn": 7, "cached_tokens": 340, "tier": "disk", "same_tokens": True}
    assert document["recall"] == {"asked": 5, "correct": 5}
    assert (document["speedup_last_turn"], document["ok"]) == (17.5, True)


def _with_turn(number: int, **changes: Any) -> DemoResult:
    turns = [replace(turn, **changes) if turn.turn == number else turn for turn in TURNS]
    return replace(GOOD, turns=tuple(turns))


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (_with_turn(3, same_tokens=False), "turn 3: the reuse modes gave different tokens"),
        (_with_turn(4, cached_tokens=0), "turn 4: nothing of the saved state was reused"),
        (replace(GOOD, restart=Restart(7, 0, None, True)), "turn 8: after the restart"),
        (replace(GOOD, restart=Restart(7, 340, "ram", True)), "turn 8: after the restart"),
        (replace(GOOD, restart=Restart(7, 174, "disk", True)), "turn 8: after the restart only 174 of at least 350"),
        (_with_turn(5, wrongly_cached={"prompt": 1}), "turn 5: mode prompt reused 1 tokens"),
        (_with_turn(5, wrongly_cached={"nothing": 32}), "turn 5: mode nothing reused 32 tokens"),
        (replace(_with_turn(3, same_tokens=False), dtype=None), "turn 3: the reuse modes gave different tokens"),
        (replace(GOOD, recall=Recall(5, 4)), "1 of 5 facts"),
    ],
)
def test_every_broken_promise_is_named(result: DemoResult, said: str) -> None:
    assert list(GOOD.broken_promises()) == []
    assert [promise for promise in result.broken_promises() if promise.startswith(said)]
    assert result.as_dict()["ok"] is False
    assert f"BROKEN: {said}" in shown(result)


@pytest.mark.parametrize(("result", "code"), [(GOOD, 0), (_with_turn(3, same_tokens=False), 1)])
def test_a_broken_promise_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, result: DemoResult, code: int) -> None:
    monkeypatch.setattr(demo_command, "_on_own_server", lambda *_: result)
    done = CliRunner().invoke(app, ["demo", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["ok"]) == (code, code == 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_where_rounding_may_decide_different_tokens_are_said_and_not_broken(dtype: str) -> None:
    result = replace(_with_turn(3, same_tokens=False), dtype=dtype)
    assert result.as_dict()["ok"] is True
    assert result.as_dict()["turns"][2]["same_tokens"] is False
    assert "13 of 14 turns gave the same tokens" in shown(result)
    assert f"not promised in {dtype}, only in float32" in shown(result)
    assert "BROKEN" not in shown(result)
    assert "not promised" not in shown(replace(GOOD, dtype=dtype))


def test_what_another_model_remembers_is_reported_and_not_promised() -> None:
    result = replace(GOOD, recall=Recall(5, 0), recall_promised=False)
    assert result.as_dict()["ok"] is True
    promised, _, reported = shown(result).partition("All promises held.")
    assert "0 of 5 facts" in reported and "facts" not in promised
    promised, _, reported = shown(GOOD).partition("All promises held.")
    assert "5 of 5 facts" in promised and "facts" not in reported


def test_how_much_was_compared_is_said() -> None:
    assert "Compared" not in shown(GOOD)
    cut = replace(_with_turn(12, reply_tokens=48, left_out_tokens={"prompt": 0, "nothing": 46}), left_out_seconds=65.0)
    assert "reply tokens the first ones of each reply, 2 in mode nothing; the others" in shown(cut)
    assert "would have taken about 65 s more" in shown(cut)
    turn = replace(cut.turns[11], left_out_tokens={"prompt": 35, "nothing": 46})
    alone = replace(cut, turns=(turn,), restart=None)
    assert "48 reply tokens the first ones of each reply, 13 in mode prompt and 2 in mode nothing;" in shown(alone)
    assert "same tokens (of 48 tokens: the first 13 in prompt, 2 in nothing)" in line_of(turn)
    assert line_of(GOOD.turns[0]).endswith(" · same tokens\n")


def line_of(turn: DemoTurn) -> str:
    console = Console(file=StringIO(), width=400)
    View(console).turn(turn, parse_turn(response("hi")).report, None)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("model", [None, "smollm2"])
def test_it_ends_with_what_to_type_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str | None) -> None:
    monkeypatch.setattr(demo_command, "_on_own_server", lambda *_: GOOD)
    asked = ["demo", *(("--model", model) if model else ())]
    console = Console(file=StringIO(), width=100)
    monkeypatch.setattr(demo_command, "styled_console", lambda **_: console)
    assert CliRunner().invoke(app, asked).exit_code == 0
    _, _, next_steps = console.file.getvalue().partition("What next\n")  # type: ignore[attr-defined]
    assert ("WARMTURN_MODEL=smollm2 warmturn chat" if model else "warmturn demo --model smollm2") in next_steps
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "activate").touch()
    assert after_demo(model)[0].command == f"source {tmp_path / 'bin' / 'activate'}"


def test_the_verdict_shows_every_turn_and_the_gain() -> None:
    text = shown(GOOD)
    last = "14 700 690 8.0 ms 140 ms 154 ms 132 ms 17x yes"
    assert last in [" ".join(line.split()) for line in text.splitlines()]
    assert "14 of 14 turns gave the same tokens" in text
    assert "killed after turn 7; in turn 8 340 tokens of state came from disk" in text
    assert "first text after 8.0 ms instead of 140 ms (17x)" in text


@pytest.mark.parametrize("columns", [44, 64, 100])
def test_it_fits_a_terminal(columns: int) -> None:
    console = Console(file=StringIO(), width=columns, force_terminal=True, color_system=None)
    View(console).verdict(GOOD)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= columns
    assert [line for line in lines if line.endswith("state")] and [line for line in lines if line.endswith("nothing")]
    start, end = lines.index("Promised"), lines.index("All promises held.")
    assert lines[start - 1] == ""
    assert all(line.startswith("  ") for line in lines[start + 1 : end]), "they go on below themselves"


def test_one_hiccup_does_not_squeeze_the_chart() -> None:
    assert "143 ms ┤" in shown(GOOD)
    assert "143 ms ┤" in shown(_with_turn(5, ttft_ms={"state": 8.0, "prompt": 50.0, "nothing": 4000.0}))
