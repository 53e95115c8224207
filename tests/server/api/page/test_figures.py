"""The live figures in the browser."""

import dataclasses
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.conftest import StartServer
from tests.server.api.page.browser import PATIENCE_MS, Visit
from tests.server.api.page.conftest import StartVisit
from tests.support.server import ServerProcess
from tests.support.talk import await_saved

from warmturn.doubts import doubts
from warmturn.format import milliseconds
from warmturn.savings import of_server

PANELS = ("ttft", "sources", "saved", "throughput", "requests", "tiers", "misses")
PAINTED = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3]) colours.add(data.slice(i, i + 3).join());
  return colours.size;
}"""


@pytest.fixture
def figures(visit: StartVisit, start_server: StartServer) -> tuple[Page, dict[str, Any]]:
    """The page beside the figures of a server that has worked a bit, and works no more."""
    server = start_server("--block-size", "8")
    with server.client() as http:
        conversation = http.post("/v1/conversations", json={}).json()["id"]
        for mode in ("state", "state", "prompt", "nothing"):
            body = {"conversation": conversation, "input": "hello there", "reuse": mode, "max_output_tokens": 4}
            http.post("/v1/responses", json=body).raise_for_status()
        await_saved(http)
        page = visit(server.base_url).open("#/figures")
        expect(page.locator("#panel-ttft tbody tr")).to_have_count(3)
        return page, settled(http)


def settled(http: httpx.Client) -> dict[str, Any]:
    """Buffers grow for a moment while nobody waits."""
    before: dict[str, Any] | None = None
    now: dict[str, Any] = http.get("/v1/stats").json()
    while before is None or before["tiers"] != now["tiers"]:
        before, now = now, http.get("/v1/stats").json()
    return now


def value(page: Page, panel: str, name: str, column: int) -> float | None:
    cell = page.locator(f"#panel-{panel} tr[data-name='{name}'] data").nth(column)
    shown = cell.get_attribute("value")
    return float(shown) if shown else None


def test_every_chart_is_drawn(figures: tuple[Page, dict[str, Any]]) -> None:
    page, _ = figures
    expect(page.locator("#charts canvas")).to_have_count(len(PANELS))
    expect(page.locator("#charts .u-wrap").first).to_be_attached()
    for panel in PANELS:
        canvas = page.locator(f"#panel-{panel} canvas")
        assert canvas.evaluate(PAINTED) > 3, f"{panel} is blank"


def test_the_values_are_those_of_stats(figures: tuple[Page, dict[str, Any]]) -> None:
    page, stats = figures
    page.reload()
    expect(page.locator("#panel-tiers tbody tr")).to_have_count(len(stats["tiers"]))
    for name, tier in stats["tiers"].items():
        assert value(page, "tiers", name, 0) == tier["bytes"]
        assert value(page, "tiers", name, 1) == tier["budget_bytes"]
    for source, tokens in stats["prompt_tokens_by_source"].items():
        assert value(page, "sources", source, 1) == tokens
    for source in ("estimated", "measured"):
        seconds = stats["saved_seconds"][source]["value"]
        if seconds is not None:
            assert value(page, "saved", source, 0) == seconds
    for name, total in (("all computed", "tokens_prefilled"), ("generated", "tokens_generated")):
        assert value(page, "throughput", name, 1) == stats["totals"][total]
    for mode, seen in stats["by_reuse"].items():
        assert value(page, "ttft", mode, 0) in (seen["ttft_ms"]["p50"], None), "None once they are a minute old"
    for reason, turns in stats["misses"].items():
        assert value(page, "misses", reason, 0) == turns
    expect(page.locator("#headline")).to_contain_text(str(stats["totals"]["turns"]))


def test_rates_come_from_differences_and_none_is_negative(functions: Page) -> None:
    """Of one process: after a restart the counts begin again."""
    stats = {
        "instance": "one",
        "uptime_seconds": 10,
        "totals": {"turns": 1, "tokens_prefilled": 100, "tokens_generated": 50},
        "prompt_tokens_by_source": {"computed": 100},
    }
    later = {
        **stats,
        "uptime_seconds": 12,
        "totals": {"turns": 3, "tokens_prefilled": 140, "tokens_generated": 50},
        "prompt_tokens_by_source": {"computed": 140, "ram": 60},
    }
    row = "async ([now, before]) => (await import('/page/samples.js')).row(now, before, 0).rates"
    assert functions.evaluate(row, [later, stats]) == {
        "all computed": 20,
        "generated": 0,
        "turns": 1,
        "sources": {"computed": 20, "ram": 30},
    }
    assert functions.evaluate(row, [{**stats, "instance": "two"}, later]) == {}
    assert functions.evaluate(row, [stats, None]) == {}


def test_figures_follow_the_server(visit: StartVisit, shared_server: ServerProcess) -> None:
    page = visit(shared_server.base_url).open("#/figures")
    turns = page.locator("#headline dd").last
    expect(turns).to_be_visible(timeout=PATIENCE_MS)
    before = turns.text_content() or ""
    with shared_server.client() as http:
        http.post("/v1/responses", json={"input": "hello", "max_output_tokens": 2}).raise_for_status()
    expect(turns).not_to_have_text(before)


def test_pointing_at_a_chart_shows_the_values_of_that_moment(visit: StartVisit) -> None:
    visitor: Visit = visit()
    page = visitor.open("#/figures")
    expect(page.locator("#panel-requests canvas")).to_be_attached()
    expect(page.locator("#panel-requests thead td")).to_have_text("now")
    page.locator("#panel-requests .u-over").hover()
    expect(page.locator("#panel-requests thead td")).to_contain_text("at ")


ESTIMATED = {"value": 9.5, "ci95": [8.0, 11.0], "turns": 20, "unknown_turns": 0}
CONTROLLED = {"value": 7.25, "ci95": [6.0, 8.5]}


@pytest.mark.parametrize(
    "stats",
    [
        {},
        {"saved_seconds": {"estimated": ESTIMATED, "measured": {"value": None, "ci95": None, "turns": 0}}},
        {"saved_seconds": {"estimated": {**ESTIMATED, "ci95": [-1.0, 20.0]}}},
        {"saved_seconds": {"estimated": ESTIMATED, "measured": {"value": 1.5, "ci95": [1.0, 2.0], "turns": 3}}},
        {"saved_seconds": {"estimated": ESTIMATED}, "controls": {"measured_turns": 5, "saved_seconds": CONTROLLED}},
        {"saved_seconds": {"estimated": ESTIMATED}, "controls": {"measured_turns": 4, "saved_seconds": CONTROLLED}},
        {"controls": {"measured_turns": 9, "saved_seconds": {"value": -2.0, "ci95": [-3.0, -1.0]}}},
        {"saved_seconds": {"estimated": {**ESTIMATED, "unknown_turns": 1}}, "controls": {"turns": {"replace": 1}}},
        {"controls": {"dropped": {"backlog": 2, "memory": 1}, "turns": {"replace": 1200, "shadow": 3}}},
        {"controls": {"measured_turns": 1, "estimate_bias_seconds": {"value": -0.0123, "ci95": [-0.02, -0.01]}}},
        {"controls": {"measured_turns": 9, "estimate_bias_seconds": {"value": 1.5, "ci95": [1.0, 2.0]}}},
        {"controls": {"measured_turns": 9, "estimate_bias_seconds": {"value": 1.5, "ci95": [-1.0, 4.0]}}},
    ],
)
def test_what_was_saved_is_said_as_in_the_terminal(functions: Page, stats: dict[str, Any]) -> None:
    script = "async (stats) => { const m = await import('/page/savings.js'); return m.ofServer(stats).map(m.amount); }"
    assert functions.evaluate(script, stats) == [saved.amount(in_words) for saved in of_server(stats)]
    script = "async (stats) => (await import('/page/doubts.js')).doubts(stats)"
    assert functions.evaluate(script, stats) == [dataclasses.asdict(doubt) for doubt in doubts(stats, written=in_words)]


def in_words(seconds: float) -> str:
    return milliseconds(1000 * seconds)


def test_what_is_uncertain_has_a_mark_and_its_reason(visit: StartVisit, shared_server: ServerProcess) -> None:
    page = visit(shared_server.base_url).open()
    stats = shared_server.client().get("/v1/stats").json()
    estimated = {**ESTIMATED, "unknown_turns": 5}
    stats |= {"saved_seconds": {"estimated": estimated}, "controls": {"turns": {"replace": 2}}}
    page.route("**/v1/stats", lambda route: route.fulfill(json=stats))
    page.get_by_role("link", name="Figures").click()
    expect(page.locator("#doubts li")).to_have_text(
        [
            "first text: 2 control turns among them, computed in full on purpose",
            "saved: 5 of 25 turns left out of the estimate: what they saved cannot be said",
        ]
    )
    marked = page.locator("#headline div").filter(has=page.get_by_role("link", name="uncertain: why"))
    expect(marked.locator("dt")).to_have_text(["saved", "first token"])
