"""The demo: what it draws, what it counts as broken, and the whole of it on a real server that is really killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from tests.client.command import WARMTURN, Command, environment
from tests.client.fake_server import response
from tests.conftest import StartServer
from tests.support.models import TinyModels
from tests.support.server import ServerProcess
from typer.testing import CliRunner

import warmturn_server.bundled
from warmturn import Client
from warmturn.cli.app import app
from warmturn.cli.demo import command as demo_command
from warmturn.cli.demo import run
from warmturn.cli.demo.allowance import Allowance
from warmturn.cli.demo.chart import Series, line_chart
from warmturn.cli.demo.measure import Measured
from warmturn.cli.demo.next_steps import after_demo
from warmturn.cli.demo.result import DemoResult, DemoTurn, Recall, Restart
from warmturn.cli.demo.run import Demo
from warmturn.cli.demo.script import BUNDLED_MODEL, GENERIC_SCRIPT, Line, bundled_script, script_for
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
    tokens = {"prompt_tokens", "cached_tokens", "prefilled_tokens", "left_out_tokens"}
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


def test_what_was_not_computed_is_said() -> None:
    text = shown(_with_turn(12, left_out_tokens=46, left_out_ms=65_000.0))
    assert "in mode nothing the last 46 tokens of 1 replies, which would have taken about 65 s more" in text
    assert "Not computed" not in shown(GOOD)


def _seconds(allowance: Allowance, token_seconds: list[float], reply_tokens: int) -> Iterator[float]:
    """What each turn takes whose tokens take so long, with replies of so many tokens."""
    allowance.expect(token_seconds[0])
    for seconds in token_seconds:
        tokens = min(allowance.tokens(), reply_tokens)
        allowance.spent(tokens * seconds, tokens)
        yield tokens * seconds


def test_the_slowest_mode_gets_so_much_time_and_each_turn_some_of_it() -> None:
    growing = [0.05 * 1.25**turn for turn in range(14)]
    taken = list(_seconds(Allowance(25.0, 14), growing, 48))
    assert sum(48 * seconds for seconds in growing) > 100
    assert sum(taken) < 26, "each gets a few tokens anyway"
    assert max(taken) < 2 * min(taken)
    assert all(seconds >= 2 * token for seconds, token in zip(taken, growing, strict=True))


def test_a_fast_model_is_asked_for_everything() -> None:
    assert list(_seconds(Allowance(25.0, 23), [0.01] * 23, 30)) == [pytest.approx(0.3)] * 23


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


def _heights(lines: list[str], columns: int) -> list[int]:
    """Of the topmost dot in each column of characters, in rows from below."""
    heights = []
    for column in range(columns):
        filled = [row for row, line in enumerate(lines) if line[11 + column] != "\u2800"]
        heights.append(len(lines) - 1 - min(filled))
    return heights


def test_the_chart_tells_flat_from_rising() -> None:
    flat = [str(line) for line in line_chart([Series("a", [8.0] * 14, ""), Series("b", [100.0], "")])][:-1]
    rising = [str(line) for line in line_chart([Series("a", [10.0 * n for n in range(15)], "")])][:-1]
    assert set(_heights(flat, 56)[1:]) == {1}
    heights = _heights(rising, 56)
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == (0, 11)
    assert rising[0].startswith("   140 ms ┤")
    assert rising[0].endswith(" a")


def test_one_hiccup_does_not_squeeze_the_chart() -> None:
    assert "143 ms ┤" in shown(GOOD)
    assert "143 ms ┤" in shown(_with_turn(5, ttft_ms={"state": 8.0, "prompt": 50.0, "nothing": 4000.0}))


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [5.0], [1.0, 1e9]])
def test_the_chart_draws_any_values(values: list[float]) -> None:
    assert len(line_chart([Series("a", values, "red")], columns=8, rows=3)) == 4


def test_an_answer_is_right_when_it_contains_what_is_expected() -> None:
    line = Line("What does my sister make?", ("Odile", "violin"))
    assert line.answered_by("ODILE makes violins.")
    assert not line.answered_by("She makes violins.")


def test_the_generic_script_tells_before_it_asks() -> None:
    assert len(GENERIC_SCRIPT) >= 12
    for number, line in enumerate(GENERIC_SCRIPT):
        told = " ".join(earlier.user for earlier in GENERIC_SCRIPT[:number]).casefold()
        assert all(word.casefold() in told for word in line.expect)


@pytest.mark.slow
def test_the_demo_on_a_real_server_that_is_really_killed(tiny_models: TinyModels, tmp_path: Path) -> None:
    """With a model that was pulled, by its name."""
    (tmp_path / "data" / "models").mkdir(parents=True)
    (tmp_path / "data" / "models" / "pulled").symlink_to(tiny_models())
    places = {"TMPDIR": str(tmp_path), "WARMTURN_DATA_DIR": str(tmp_path / "data")}
    done = Command(tmp_path)("demo", "--model", "pulled", "--json", timeout=280, **places)
    document = json.loads(done.stdout)
    assert done.code == 0, done.stderr
    assert document["model"] == "pulled"
    assert document["ok"] is True
    turns = document["turns"]
    assert len(turns) == len(GENERIC_SCRIPT)
    assert all(turn["same_tokens"] for turn in turns)
    assert all(turn["cached_tokens"] > 0.5 * turn["prompt_tokens"] for turn in turns[2:])
    assert all(turn["cached_tokens"] + turn["prefilled_tokens"] == turn["prompt_tokens"] for turn in turns)
    assert document["restart"]["after_turn"] == len(turns) // 2
    assert document["restart"]["tier"] == "disk"
    assert document["restart"]["cached_tokens"] == turns[len(turns) // 2]["cached_tokens"] > 0
    assert "kill -9" in done.stderr
    assert list(tmp_path.glob("warmturn-demo-*")) == []


@pytest.mark.slow
def test_the_demo_with_the_bundled_model(tmp_path: Path) -> None:
    done = Command(tmp_path)("demo", "--json", timeout=280, TMPDIR=str(tmp_path))
    document = json.loads(done.stdout)
    assert (done.code, document["ok"]) == (0, True), done.stderr
    assert document["recall"]["correct"] == document["recall"]["asked"] > 0
    assert len(document["turns"]) >= 14
    assert all(turn["same_tokens"] for turn in document["turns"])
    assert document["restart"]["tier"] == "disk"
    assert document["restart"]["same_tokens"] is True


def test_the_bundled_script_goes_with_the_bundled_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BUNDLED_MODEL == warmturn_server.bundled.NAME
    assert script_for(BUNDLED_MODEL) == bundled_script() != GENERIC_SCRIPT
    assert script_for("other") == GENERIC_SCRIPT
    monkeypatch.setitem(sys.modules, "warmturn_server", None)
    monkeypatch.setitem(sys.modules, "warmturn_server.bundled", None)
    assert script_for(BUNDLED_MODEL) == GENERIC_SCRIPT


@pytest.mark.slow
def test_the_demo_on_a_server_that_has_the_bundled_model(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beginning of its script, up to the second question, is enough."""
    server = start_server("--dtype", "bfloat16", model=Path("bundled"))
    questions = [number for number, line in enumerate(bundled_script()) if line.asks]
    monkeypatch.setattr(demo_command, "script_for", lambda model: script_for(model)[: questions[1] + 1])
    done = CliRunner().invoke(app, ["demo", "--url", server.base_url, "--json"])
    document = json.loads(done.stdout)
    assert document["model"] == BUNDLED_MODEL
    assert len(document["turns"]) == questions[1] + 1
    assert document["recall"] == {"asked": 2, "correct": 2}


@pytest.mark.slow
def test_a_server_that_computes_controls_in_place_breaks_nothing(
    start_server: StartServer, tiny_models: TinyModels, tmp_path: Path
) -> None:
    server = start_server("--control-rate", "1", "--control-mode", "replace", model=tiny_models())
    document = json.loads(Command(tmp_path)("demo", "--url", server.base_url, "--json", timeout=200).ok())
    assert document["turns"][1]["cached_tokens"] == 0
    assert document["ok"]


def test_a_model_beside_an_address_is_wrong_usage(tmp_path: Path) -> None:
    done = Command(tmp_path)("demo", "--url", "http://127.0.0.1:9", "--model", "bundled")
    assert (done.code, done.stdout) == (2, "")
    assert "--url" in done.stderr and "--model" in done.stderr


def _on_a_fake(line: Line) -> DemoResult:
    """One turn, on a server that says nothing of its own."""
    replies = {"/v1/conversations": {"id": "conv_1", "created_at": 1}, "/v1/stats": {"dtype": "float32"}}
    answer = httpx.MockTransport(lambda asked: httpx.Response(200, json=replies.get(asked.url.path, response("hi"))))
    view = View(Console(file=StringIO()))
    return Demo(Client("http://test", transport=answer), [line], None, view).run("m", recall_promised=False)


def test_a_mode_that_reuses_what_it_must_not_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(parse_turn(response("hi", output_token_ids=[1], cached_tokens=9)), 1.0, 2.0)
    monkeypatch.setattr(run, "measure", lambda *_, **__: measured)
    result = _on_a_fake(Line("hello"))
    assert list(result.broken_promises()) == [
        "turn 1: mode prompt reused 9 tokens, where it was to compute all of them",
        "turn 1: mode nothing reused 9 tokens, where it was to compute all of them",
    ]


@pytest.mark.parametrize(("said", "same"), [((1, 2), True), ((1, 3), False), ((1,), True)])
def test_a_reply_that_is_cut_short_is_compared_as_far_as_it_goes(
    monkeypatch: pytest.MonkeyPatch, said: tuple[int, ...], same: bool
) -> None:
    """One that is cut in the middle of a character has fewer tokens than were asked for."""

    def measured(*_: object, reuse: str, **__: object) -> Measured:
        ids, status = ((*said,), "incomplete") if reuse == "nothing" else ((1, 2, 4, 5), "completed")
        return Measured(parse_turn(response("hi", output_token_ids=ids, cached_tokens=0, status=status)), 1.0, 2.0)

    monkeypatch.setattr(run, "measure", measured)
    monkeypatch.setattr(Allowance, "tokens", lambda _: 2)
    (turn,) = _on_a_fake(Line("hello")).turns
    assert (turn.same_tokens, turn.left_out_tokens) == (same, 4 - len(said))


@pytest.mark.slow
def test_with_no_time_for_the_slowest_mode_its_beginnings_are_compared(
    shared_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_NOTHING_SECONDS", 0.0)
    monkeypatch.setattr(demo_command, "script_for", lambda _: GENERIC_SCRIPT[:4])
    document = json.loads(CliRunner().invoke(app, ["demo", "--url", shared_server.base_url, "--json"]).stdout)
    assert document["ok"] is True
    assert all(turn["left_out_tokens"] > 0 for turn in document["turns"][1:]), "the first reply is a word"


@pytest.mark.slow
def test_the_demo_on_somebody_elses_server(shared_server: ServerProcess, tmp_path: Path) -> None:
    command = Command(tmp_path, shared_server.base_url)
    before = command("ls", "--json").ok()
    document = json.loads(command("demo", "--url", shared_server.base_url, "--json", timeout=200).ok())
    assert document["restart"] is None
    assert document["ok"] is True
    assert command("ls", "--json").ok() == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_leaves_nothing_behind(tiny_models: TinyModels, tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        [*WARMTURN, "demo", "--model", str(tiny_models())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, TMPDIR=str(tmp_path), PYTHONUNBUFFERED="1"),
    ) as process:
        assert process.stdout is not None
        while " > " not in process.stdout.readline():
            assert process.poll() is None
        server = _children(process.pid)
        assert server
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else 128 + number)
    assert "Traceback" not in stderr
    assert not any(Path(f"/proc/{pid}").exists() for pid in server)
    assert list(tmp_path.glob("warmturn-demo-*")) == []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
