"""Peers by the same ruler: what they do not say is null, and what goes wrong there is counted."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.bench.document import check_document
from tests.bench.fake_openai import FakeServer
from tests.client.command import WARMTURN, Command, environment
from tests.support.models import TinyModels

from warmturn_bench.targets.http import Event
from warmturn_bench.targets.openai import Streamed

USAGE = {"prompt_tokens": 50, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 32}}
SMALL = ("--conversations", "2", "--turns", "3")


def run(command: Command, url: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = command("bench", "--url", url, "--json", *arguments)
    assert done.code == code, done.stderr + done.stdout
    document: dict[str, Any] = json.loads(done.stdout)
    check_document(document)
    return document


def test_a_server_that_says_nothing_about_tokens(command: Command) -> None:
    with FakeServer().running() as url:
        document = run(command, url, *SMALL)
    assert (document["model"], set(document["modes"])) == ("fake-model", {"state"})
    state = document["modes"]["state"]
    assert (state["turns"], state["errors"]) == (6, 0)
    assert None not in state["ttft_ms"].values()
    for unknown in ("output_tokens_per_second", "prompt_tokens", "cached_tokens_by_tier", "cached_tokens", "misses"):
        assert state[unknown] is None
    saved = state["saved_seconds"]
    assert saved.pop("paired_turns") == 0
    assert set(saved.values()) == {None}
    assert set(document["speedup"].values()) == {None}


def test_tokens_that_a_server_reports_are_counted(command: Command) -> None:
    with FakeServer(usage=USAGE).running() as url:
        state = run(command, url, *SMALL)["modes"]["state"]
    assert (state["prompt_tokens"], state["output_tokens"], state["cached_tokens"]) == (300, 24, 192)
    assert state["cached_tokens_by_tier"] is None


@pytest.mark.parametrize("given", [("--api-key", "geheim"), ("--api-key=geheim",)])
def test_the_key_is_in_no_report(command: Command, tmp_path: Path, given: tuple[str, ...]) -> None:
    with FakeServer(usage=USAGE).running() as url:
        document = run(command, url, *SMALL, *given, "--report", str(tmp_path / "report"))
    assert "--api-key" in document["run"]["command"]
    assert all("geheim" not in file.read_text() for file in (tmp_path / "report").iterdir())


def test_the_whole_conversation_is_sent_again_with_each_turn(command: Command) -> None:
    fake = FakeServer(usage=USAGE)
    with fake.running() as url:
        run(command, url, "--clients", "1", "--conversations", "1", "--turns", "3", "--ignore-eos")
    *_, second, third = fake.turns()
    roles = [message["role"] for message in third["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert third["messages"][:4] == second["messages"]
    assert third["messages"][4]["content"] == "one two three four"
    assert (third["ignore_eos"], third["stream_options"], third["temperature"]) == (True, {"include_usage": True}, 0.0)


def test_an_agents_results_are_sent_behind_the_calls_that_they_answer(command: Command) -> None:
    fake = FakeServer(usage=USAGE)
    fake.calls = True
    with fake.running() as url:
        document = run(command, url, "--scenario", "agent", "--clients", "1", "--conversations", "1", "--turns", "3")
    *_, second, third = fake.turns()
    roles = [message["role"] for message in third["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "tool"]
    assert third["messages"][:4] == second["messages"]
    (call,) = third["messages"][4]["tool_calls"]
    assert (call["id"], call["function"]) == ("call_7", {"name": "read_page", "arguments": '{"page": "no"}'})
    assert third["messages"][5]["tool_call_id"] == "call_7"
    assert (third["tool_choice"], third["parallel_tool_calls"]) == ("required", False)
    assert [tool["function"]["name"] for tool in third["tools"]] == ["read_page", "find_page"]
    step = {"turns": 1, "prompt_tokens": 50, "computed_tokens": 18}
    assert document["modes"]["state"]["by_turn"] == [{"turn": turn, **step} for turn in range(3)]


def test_a_server_that_answers_where_a_call_was_asked_for_is_told_in_one_line(command: Command) -> None:
    with FakeServer(usage=USAGE).running() as url:
        done = command("bench", "--url", url, "--scenario", "agent", "--json")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        f"warmturn: --scenario agent needs a model that calls functions, and fake-model at {url} does not: asked to "
        "call one, it called none within 512 tokens. Take another model, or --scenario long."
    )


def test_thinking_counts_as_output_but_is_not_sent_back() -> None:
    streamed = Streamed()
    for moment, delta in enumerate(({"reasoning_content": "hm"}, {"content": "yes"}, {"role": "assistant"})):
        streamed.add(Event({"choices": [{"delta": delta, "finish_reason": "stop"}]}, float(moment)))
    assert streamed.answer == "yes"
    assert streamed.reply().text == "hmyes"
    assert streamed.reply().piece_moments == (0.0, 1.0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(503, "busy (503)"), (429, "busy (429)"), (400, "refused (400)"), (0, "connection broke")],
)
def test_failed_turns_are_counted_by_kind_and_end_their_conversation(command: Command, status: int, kind: str) -> None:
    fake = FakeServer(usage=USAGE)
    warm_up = 2
    fake.fail = lambda number: status if number == warm_up + 2 else None
    with fake.running() as url:
        arguments = ("--clients", "1", "--conversations", "1", "--turns", "3")
        state = run(command, url, *arguments, code=1)["modes"]["state"]
    assert (state["turns"], state["errors"], state["turns_not_asked"]) == (1, 1, 1)
    assert state["errors_by_kind"] == {kind: 1}


def test_a_server_that_fails_at_once_is_told_in_one_line(command: Command) -> None:
    fake = FakeServer()
    fake.fail = lambda _: 500
    with fake.running() as url:
        done = command("bench", "--url", url, "--json")
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("warmturn: the server failed at the first turn (refused (500))")


def test_modes_take_turns_and_what_they_made_is_deleted(command: Command) -> None:
    fake = FakeServer(owned_by="warmturn")
    with fake.running() as url:
        run(command, url, "--modes", "state,prompt", "--clients", "1", "--conversations", "3", "--turns", "1")
    warm_up = 2
    first, second = played = [turn["reuse"] for turn in fake.turns()[warm_up : warm_up + 2]]
    assert set(played) == {"state", "prompt"}
    assert [turn["reuse"] for turn in fake.turns()[warm_up:]] == [first, second, second, first, first, second]
    assert fake.deleted == ["/v1/conversations/conv_1"] * (warm_up + 6)


@pytest.mark.parametrize(("system", "items"), [("Be brief.", 1), (None, 0)])
def test_who_has_no_instructions_is_given_none(
    command: Command, tmp_path: Path, system: str | None, items: int
) -> None:
    trace = tmp_path / "trace.json"
    said = [{"from": "human", "value": "Hello"}]
    trace.write_text(json.dumps({"conversations": [{"from": "system", "value": system}, *said] if system else said}))
    fake = FakeServer(owned_by="warmturn")
    with fake.running() as url:
        run(command, url, "--trace", str(trace), "--modes", "prompt")
    begun = [body["items"] for body in fake.asked if "items" in body]
    assert [len(one) for one in begun] == [items] * len(begun)
    assert begun


def test_conversations_are_deleted_once_the_server_has_checked_itself_with_them(command: Command) -> None:
    fake = FakeServer(owned_by="warmturn")
    backlog, deleted = [3, 2, 1], []

    def stats() -> dict[str, Any]:
        asked_last = len(fake.turns()) == 4
        deleted.append(len(fake.deleted))
        return {"controls": {"backlog": backlog.pop() if asked_last and backlog else 0}}

    fake.stats = stats
    with fake.running() as url:
        run(command, url, "--modes", "prompt", "--clients", "1", "--conversations", "1", "--turns", "2")
    assert backlog == []
    assert set(deleted) == {0}
    assert len(fake.deleted) == 2


@pytest.mark.parametrize("truth", [{"cached_tokens": 40}, {"reuse": "state"}])
def test_a_server_that_only_says_that_it_recomputes_is_found_out(command: Command, truth: dict[str, Any]) -> None:
    fake = FakeServer(owned_by="warmturn")
    warm_up = 4
    honest = dict(fake.report)

    def lie(number: int) -> None:
        fake.report |= honest
        fake.report |= truth if number > warm_up and fake.turns()[-1]["reuse"] == "prompt" else {}

    fake.fail = lie
    with fake.running() as url:
        document = run(command, url, "--modes", "state,prompt", "--clients", "1", *SMALL, code=1)
    assert document["modes"]["prompt"]["errors_by_kind"] == {"not recomputed": 2}
    assert document["broken_promises"] == ["turns in mode prompt that the server was to compute in full and did not: 2"]
    assert document["modes"]["state"]["errors"] == 0


def test_modes_of_a_server_that_has_none_are_a_usage_error(command: Command) -> None:
    with FakeServer().running() as url:
        done = command("bench", "--url", url, "--modes", "prompt")
    assert done.code == 2
    assert "no Warmturn server" in done.stderr


def test_a_model_that_is_not_served_is_a_usage_error_with_those_that_are(command: Command) -> None:
    with FakeServer().running() as url:
        done = command("bench", "--url", url, "--model", "another")
    assert done.code == 2
    assert "fake-model" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--clients", "0"),
        ("--scenario", "party"),
        ("--modes", "magic"),
        ("--clients", "2", "--rate", "3"),
        ("--trace", "/nowhere.jsonl", "--scenario", "chat"),
        ("--scenario", "restart", "--clients", "2"),
        ("--scenario", "restart", "--report", "here"),
        ("--report", "/proc/nowhere"),
    ],
)
def test_usage_is_2(command: Command, arguments: tuple[str, ...]) -> None:
    done = command("bench", "--url", "http://127.0.0.1:9", *arguments)
    assert (done.code, done.stdout) == (2, "")


def test_no_server_is_3(command: Command) -> None:
    done = command("bench", "--url", "http://127.0.0.1:9", "--json")
    assert (done.code, done.stdout) == (3, "")


def test_a_trace_that_is_none_costs_no_run(command: Command, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"input_length": 3}\n')
    fake = FakeServer(usage=USAGE)
    with fake.running() as url:
        done = command("bench", "--url", url, "--trace", str(trace))
    assert done.code == 2
    assert f"{trace}:1:" in done.stderr
    assert fake.turns() == []


def test_a_trace_is_played(command: Command, tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    said = [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}, {"from": "human", "value": "Bye"}]
    trace.write_text(json.dumps([{"conversations": said}]))
    fake = FakeServer()
    with fake.running() as url:
        document = run(command, url, "--trace", str(trace))
    assert (document["scenario"], document["modes"]["state"]["turns"]) == ("trace", 2)
    assert [message["content"] for message in fake.turns()[-1]["messages"]] == ["Hello", "one two three four", "Bye"]


def test_a_duration_ends_and_an_open_loop_runs(command: Command) -> None:
    fake = FakeServer(usage=USAGE)
    fake.seconds = 0.01
    with fake.running() as url:
        document = run(command, url, "--duration", "1", "--rate", "50")
    assert document["modes"]["state"]["turns"] > 10
    assert document["run"]["load"].startswith("open loop, 50 turns a second")


def test_ctrl_c_gives_what_there_is_and_says_so(tmp_path: Path) -> None:
    fake = FakeServer(usage=USAGE)
    fake.seconds = 0.02
    with fake.running() as url:
        process = subprocess.Popen(
            [*WARMTURN, "bench", "--url", url, "--duration", "600", "--json", "--report", str(tmp_path / "report")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path),
        )
        while len(fake.turns()) < 12:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "a part of the run" in stderr
    document = json.loads(stdout)
    check_document(document)
    assert document["partial"] is True
    assert document["modes"]["state"]["turns"] >= 8
    assert "The run was interrupted" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_own_server_does_not_outlive_the_test(
    tiny_models: TinyModels, tmp_path: Path, number: int, code: int
) -> None:
    process = subprocess.Popen(
        [*WARMTURN, "bench", "--model", str(tiny_models()), "--duration", "600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, TMPDIR=str(tmp_path)),
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (own := [int(child) for child in children.read_text().split()]):
        assert process.poll() is None
        time.sleep(0.02)
    while not list(tmp_path.glob("warmturn-bench-*/data/*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert not any(Path(f"/proc/{pid}").exists() for pid in own)
    assert list(tmp_path.glob("warmturn-bench-*")) == []
