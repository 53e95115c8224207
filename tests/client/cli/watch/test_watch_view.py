"""What `warmturn watch` makes of figures: rates, lines, and a screen that fits."""

import io
import re
from typing import Any

import httpx
import pytest
from rich.console import Console
from tests.client.fake_server import FakeServer

from warmturn import ApiError, Client, ServerUnreachable
from warmturn.cli.watch.lines import json_line
from warmturn.cli.watch.sample import Rates, rates
from warmturn.cli.watch.sparkline import sparkline
from warmturn.cli.watch.view import Screen
from warmturn.cli.watch.watcher import Watcher
from warmturn.wire import REUSE_MODES, TIERS

TIMES = {"p50": 38.2, "p90": 50.0, "p95": 61.0, "p99": 70.0}


def figures(uptime: float = 10.0, tokens: int = 0, **others: Any) -> dict[str, Any]:
    mode = {"turns": 3, "ttft_ms": TIMES}
    none = {"turns": 0, "ttft_ms": dict.fromkeys(TIMES)}
    return {
        "instance": "one",
        "uptime_seconds": uptime,
        "model": "bundled",
        "dtype": "float32",
        "running": 2,
        "waiting": 1,
        "totals": {"turns": tokens // 10, "tokens_prefilled": tokens, "tokens_generated": 2 * tokens},
        "prompt_tokens_by_source": {"computed": 250, "ram": 500, "disk": 250},
        "recent": {"by_reuse": {"state": mode, "prompt": none, "nothing": none}},
        "saved_seconds": {
            "estimated": {"value": 4000.5, "ci95": [3600.0, 4500.0]},
            "measured": {"value": -0.25, "ci95": [-0.5, -0.1], "turns": 1200},
        },
        "misses": {"recompute_faster": 1234},
        "tiers": {
            "resident": {"bytes": 2048, "budget_bytes": 2**31},
            "disk": {"bytes": 0, "budget_bytes": 2**33, "bytes_per_second": 2**30, "available": False},
        },
        **others,
    }


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def watched(*answers: dict[str, Any] | int) -> Watcher:
    server = FakeServer()
    watcher = Watcher(server.client, Clock())
    for answer in answers:
        if isinstance(answer, dict):
            server.answers(200, json=answer)
        else:
            server.answers(answer, json={"error": {"message": "no"}})
        watcher.ask()
    return watcher


def shown(watcher: Watcher, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(Screen(watcher), end="")
    return console.file.getvalue().split("\n")  # type: ignore[attr-defined, no-any-return]


def test_rates_are_differences_of_totals_over_the_servers_own_time() -> None:
    assert rates(figures(12.0, 100), figures(10.0, 60)) == Rates(20.0, 40.0, 2.0)


@pytest.mark.parametrize(
    "before",
    [
        None,
        figures(1.0, 60, instance="another"),
        figures(12.0, 60),
        figures(10.0, 200),
    ],
)
def test_where_a_count_begins_again_there_is_no_rate(before: dict[str, Any] | None) -> None:
    assert rates(figures(12.0, 100), before) == Rates()


def test_a_server_that_says_less_has_no_rates_either() -> None:
    assert rates({"instance": "one", "uptime_seconds": 2.0}, {"instance": "one", "uptime_seconds": 1.0}) == Rates()


def test_several_servers_behind_one_address_have_rates_of_their_own() -> None:
    one, two = figures(10.0, 100), figures(500.0, 9000, instance="two")
    later = figures(12.0, 140), figures(502.0, 9020, instance="two")
    watcher = watched(one, two, *later)
    assert [sample.rates.tokens_prefilled for sample in watcher.samples] == [None, None, 20.0, 10.0]
    assert "several servers in turn" in shown(watcher)[1]


def test_a_restart_is_said() -> None:
    busy = {"running": 24, "waiting": 120}
    watcher = watched(figures(10.0, 100, **busy), figures(0.5, 5_000_000, instance="two", **busy))
    assert re.search(r"500,000 done · restarted \d\d:\d\d:\d\d$", shown(watcher)[1])
    assert watcher.samples[-1].rates == Rates()


def test_another_server_is_not_taken_for_a_restart() -> None:
    watcher = watched(figures(10.0, 100), figures(500.0, 9000, instance="two"))
    assert re.search(r"· another server \d\d:\d\d:\d\d$", shown(watcher)[1])


def test_a_server_that_is_away_is_said_and_its_last_figures_stay() -> None:
    watcher = watched(figures(), 503)
    assert "no answer since" in shown(watcher)[1]
    assert "38 ms" in "".join(shown(watcher))
    assert json_line(watcher.samples[-1]) == {"time": 1002.0, "up": False, "error": "the server failed: no"}


def test_a_server_that_refuses_is_not_asked_again() -> None:
    with pytest.raises(ApiError):
        watched(figures(), 401)


def test_only_the_first_answer_must_come() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("gone")

    watcher = Watcher(Client("http://test", transport=httpx.MockTransport(away)), Clock())
    with pytest.raises(ServerUnreachable):
        watcher.first()
    assert not watcher.ask().figures


def test_the_screen() -> None:
    lines = shown(watched(figures(10.0, 0), figures(12.0, 2468)))
    assert [line.rstrip() for line in lines] == [
        "bundled · float32 · http://test · up 12 s",
        "2 running, 1 waiting · 123 turns/s · 246 done",
        "tokens     a second  computed: recomputation in mode nothing included",
        "computed      1,234" + " " * 60 + "█",
        "generated     2,468" + " " * 60 + "█",
        "",
        "first text      p50      p95   turns  last minute",
        "state         38 ms    61 ms       3" + " " * 42 + "██",
        "prompt            –        –       0",
        "nothing           –        –       0",
        "",
        "reused          75%  ██████████████████░░░░░░  of prompt tokens in all modes",
        "          50% ram · 25% disk · 25% computed",
        "",
        "tier             held         of  reads at",
        "resident      2.0 KiB    2.0 GiB  –",
        "disk              0 B    8.0 GiB  switched off after a failure",
        "",
        "saved     lost 250 ms (-500 ms to -100 ms) on 1,200 turns timed twice",
        "          about 1 h 6 min (1 h 0 min to 1 h 15 min), estimated",
        "misses    1,234 recompute faster",
    ]


@pytest.mark.parametrize("width", [20, 30, 43, 44, 79, 80, 200])
@pytest.mark.parametrize("height", [3, 24])
def test_the_screen_fits_every_window(width: int, height: int) -> None:
    lines = shown(watched(*(figures(10.0 + i, 100 * i) for i in range(300)), 503), width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) <= height


def test_controls_and_audits_are_shown_where_they_are_made() -> None:
    audits = {"clean": 1200, "breach": 1, "inconclusive": 0}
    controls = {"saved_seconds": {"value": 3.21, "ci95": [2.9, 3.5]}, "measured_turns": 5}
    lines = shown(watched(figures(audits=audits, controls=controls)))
    assert lines[-4] == "saved     3.21 s (2.90 s to 3.50 s) by 5 control turns"
    assert lines[-3] == "          about 1 h 6 min (1 h 0 min to 1 h 15 min), estimated"
    assert lines[-2] == "audits    1 breach · 1,200 clean · 0 inconclusive"
    unknown = shown(watched(figures(audits=dict.fromkeys(audits, 0), controls={"saved_seconds": None})))
    assert not any(line.startswith("audits") for line in unknown)
    assert not any("control turn" in line for line in unknown)


def test_everything_at_once_fits_the_smallest_screen_that_is_promised() -> None:
    """Long figures, all tiers, checks: nothing is cut off, and the turn counts do not run into the lines."""
    long, mode = 99.9 * 3600, {"turns": 123_456, "ttft_ms": TIMES}
    full = {name: {"bytes": 2**40 - 1, "budget_bytes": 2**40, "bytes_per_second": 2**30} for name in TIERS}
    controls = {"saved_seconds": {"value": long, "ci95": [long, long]}, "measured_turns": 1234}
    audits = {"clean": 123_456, "breach": 123, "inconclusive": 1234}
    more: dict[str, Any] = {
        "tiers": full,
        "controls": controls,
        "audits": audits,
        "recent": {"by_reuse": dict.fromkeys(REUSE_MODES, mode)},
        "saved_seconds": {"estimated": {"value": long, "ci95": [long, 999 * 3600.0]}},
    }
    lines = shown(watched(*(figures(10.0 + i, 10**6 * i, **more) for i in range(99))))
    assert len(lines) == 24
    assert not any("…" in line for line in lines)
    assert any(re.match(r"state +38 ms +61 ms +123,456  [▁▂▃▄▅▆▇█]+$", line) for line in lines)
    assert lines[-1].startswith("misses")


def test_a_server_that_says_nothing_is_shown_too() -> None:
    assert shown(watched({}))
    assert json_line(watched({}).samples[-1])["hit_share"] is None


def test_what_a_server_calls_itself_cannot_steer_the_terminal() -> None:
    assert "\x1b[2J" not in "".join(shown(watched(figures(model="\x1b[2Jevil", misses={"\x1b[2J": 1}))))


def test_a_line_of_values() -> None:
    assert sparkline([0.0, 5.0, None, 10.0], 6) == "  ▁▅ █"
    assert sparkline([1.0, 2.0, 3.0], 2) == "▆█"
    assert sparkline([0.0, 0.0], 2) == "▁▁"
    assert sparkline([1.0], 0) == ""
    assert sparkline([0.0, 10.0], 2, ascii_only=True) == "_#"


UNKNOWN = {"estimated": {"value": 9.5, "ci95": [8.0, 11.0], "turns": 20, "unknown_turns": 5}}


def test_what_is_uncertain_is_marked_and_the_last_lines_say_why() -> None:
    lines = shown(watched(figures(saved_seconds=UNKNOWN)))
    assert "saved     about 9.50 s (8.00 s to 11.00 s), estimated †" in [line.rstrip() for line in lines]
    assert lines[-1].strip() == "† 5 of 25 turns left out of the estimate: what they saved cannot be said"
    assert not any("†" in line for line in shown(watched(figures())))


def test_control_turns_within_the_minute_are_said_beside_its_times() -> None:
    """Those of before are not in the times of the last minute."""
    server = FakeServer()
    times = iter([0.0, 30.0, 59.0, 70.0, 131.0, 140.0])
    watcher = Watcher(server.client, times.__next__)
    said = []
    for replaced in (7, 7, 9, 10, 10, 10):
        server.answers(200, json=figures(controls={"turns": {"replace": replaced}}))
        watcher.ask()
        (head,) = [line for line in shown(watcher, 120) if "last minute" in line]
        said.append(head.rpartition("last minute")[2].strip())
    two, three = (f", {count} control turns among them, computed in full on purpose" for count in (2, 3))
    assert said == ["", "", two, three, "", ""]
    latest = json_line(watcher.samples[3], watcher.samples[1].figures)["uncertain"]
    assert latest == [{"about": "first text", "words": three.removeprefix(", ")}]
