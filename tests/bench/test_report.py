"""The page: whole in one file, right figures in it, and seen by a real browser."""

import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from tests.bench.making import MODES, recording, result
from tests.support.programs import program

from warmturn.errors import SettingsError
from warmturn.format import PALETTE
from warmturn_bench.report.axes import NARROW, WIDE
from warmturn_bench.report.charts.sources import sources_of, used_sources
from warmturn_bench.report.charts.ttft_by_turn import by_turn, ttft_by_turn
from warmturn_bench.report.folder import PICTURE, prepare, write
from warmturn_bench.report.page import style
from warmturn_bench.report.scale import Linear, Logarithmic, nice_step, spanning
from warmturn_bench.sample import Recording

SECTIONS = (
    "Time to first text by turn",
    "How many answers began within which time",
    "Where the conversation came from",
    "What each tier held",
    "Seconds of waiting saved",
)
_OUTSIDE = re.compile(r"""(?:src|href|action|data)\s*=|url\(|@import|<script|<link|<iframe|https?://""")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = recording()
    prepare(tmp_path / "report")
    write(tmp_path / "report", result(made), made)
    return tmp_path / "report"


def test_the_page_asks_for_nothing_outside_of_itself(folder: Path) -> None:
    html = (folder / "index.html").read_text()
    allowed = html.replace('xmlns="http://www.w3.org/2000/svg"', "").replace("http://127.0.0.1:1", "")
    assert _OUTSIDE.findall(allowed) == []


class _Balance(HTMLParser):
    """Every element that is opened is closed, in order."""

    VOID = ("meta", "!doctype")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed(folder: Path) -> None:
    parser = _Balance()
    parser.feed((folder / "index.html").read_text())
    assert parser.open == []


def test_the_page_says_what_was_found(folder: Path) -> None:
    html = (folder / "index.html").read_text()
    assert "<h1>With saved state, answers begin 3.5x to 3.8x sooner</h1>" in html
    assert all(f"<h2>{section}</h2>" in html for section in SECTIONS)
    assert "of waiting saved over 30 turns, measured (1.8 to 1.8 with 95% confidence)" in html
    assert "30 of 30" in html


def test_what_models_and_files_are_called_cannot_change_the_page(tmp_path: Path) -> None:
    made = recording()
    write(tmp_path, result(made, model="<script>alert(1)</script>"), made)
    assert "<script" not in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    "made", [Recording(), recording(conversations=1, turns=1), recording(conversations=7, turns=1)]
)
def test_any_run_has_a_page(tmp_path: Path, made: Recording) -> None:
    write(tmp_path, result(made, partial=True), made)
    html = (tmp_path / "index.html").read_text()
    assert "nan" not in html.lower().replace("nancy", "")
    assert "The run was interrupted" in html


def test_the_data_is_beside_the_page(folder: Path) -> None:
    assert json.loads((folder / "result.json").read_text())["scenario"] == "chat"
    lines = [json.loads(line) for line in (folder / "turns.jsonl").read_text().splitlines()]
    assert len(lines) == 90
    assert lines[0] | {"mode": "state", "conversation": 0, "turn": 0, "ttft_ms": 20.0} == lines[0]


def test_the_picture_stands_alone(folder: Path) -> None:
    picture = (folder / PICTURE).read_text()
    assert picture.startswith("<svg")
    assert "prefers-color-scheme: dark" in picture
    assert _OUTSIDE.findall(picture.replace('xmlns="http://www.w3.org/2000/svg"', "")) == []


def test_a_point_is_the_median_of_its_turn() -> None:
    made = recording()
    times = by_turn(made.samples, "prompt")
    assert [(one.turn, one.count, one.median) for one in times] == [(n + 1, 6, 22.0 + 30 * n) for n in range(5)]
    drawn = ttft_by_turn(WIDE, made.samples, ("state", "prompt"))
    assert "turn 5, prompt: 142 ms (median of 6)" in drawn
    assert 'class="line nothing"' not in drawn


def test_sources_of_a_prompt_add_up() -> None:
    made = recording()
    assert sources_of(made.of_mode("state")[-1]) == {"resident": 30, "ram": 0, "disk": 30, "computed": 40}
    assert used_sources(made.of_mode("state")) == ["resident", "disk", "computed"]


def test_scales() -> None:
    assert spanning(0, 83, 300, 0).ticks() == [0, 20, 40, 60, 80, 100]
    assert spanning(-3, 12, 300, 0).ticks() == [-5, -2.5, 0, 2.5, 5, 7.5, 10, 12.5]
    assert spanning(0, 0, 300, 0).ticks()[0] == 0
    assert Linear(0, 10, 100, 200, 5)(5) == 150
    assert Logarithmic(8, 130, 0, 1).ticks() == [10, 20, 50, 100]
    assert Logarithmic(10, 1000, 0, 100)(100) == pytest.approx(50)
    assert [nice_step(span, 5) for span in (0, 1, 7, 12, 100)] == [1, 0.2, 2, 2.5, 20]


def test_modes_and_tiers_have_the_colours_of_the_servers_page() -> None:
    """A person who looks at both, or at `watch`, need not learn them twice."""
    page_css = (files("warmturn_server.api.page") / "static" / "style.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#\w+);", part)) for part in style("chart.css").split("@media"))
    theirs = re.findall(r"--(resident|ram|disk|redis|computed|ember): light-dark\((#\w+), (#\w+)\)", page_css)
    assert {name: (light[name], dark[name]) for name, *_ in theirs} == {name: tuple(both) for name, *both in theirs}
    for mode in MODES:
        tier = re.findall(rf"--mode-{mode}: var\(--(\w+)\)", page_css)
        assert re.findall(rf"--{mode}: var\(--(\w+)\)", style("chart.css")) == tier
        assert PALETTE[mode] == PALETTE[tier[0]]


def test_a_folder_that_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot write a report"):
        prepare(tmp_path / "file")


@pytest.mark.parametrize(
    ("width", "shown", "hidden"), [(1000, "wide", "narrow"), (390, "narrow", "wide"), (360, "narrow", "wide")]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it(folder: Path, width: int, shown: str, hidden: str, scheme: str) -> None:
    chromium = program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        requests: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.goto((folder / "index.html").as_uri())
        assert requests == [(folder / "index.html").as_uri()]
        assert errors == []
        assert page.locator(f"svg.{shown}:visible").count() == len(SECTIONS)
        assert page.locator(f"svg.{hidden}:visible").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert _is_dark(page) is (scheme == "dark")
        _nothing_is_cut_off(page, shown)
        _all_modes_are_in_sight(page)
        browser.close()


def _is_dark(page: Page) -> bool:
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return max(map(int, re.findall(r"\d+", ground)[:3])) < 100


def _all_modes_are_in_sight(page: Page) -> None:
    """On a phone too: nobody would guess that a table goes on behind its edge."""
    table = page.locator(".scroll")
    assert table.locator("thead th").all_text_contents() == ["", *MODES]
    assert table.evaluate("frame => frame.scrollWidth - frame.clientWidth") == 0


def _nothing_is_cut_off(page: Page, shown: str) -> None:
    """Every word of a picture lies within it."""
    outside = page.evaluate(
        """(shown) => [...document.querySelectorAll(`svg.${shown}`)].flatMap(svg => {
            const frame = svg.getBoundingClientRect();
            return [...svg.querySelectorAll("text")].filter(text => {
                const box = text.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
            }).map(text => text.textContent);
        })""",
        shown,
    )
    assert outside == []


def test_both_widths_have_the_same_figures() -> None:
    made = recording()
    wide, narrow = (ttft_by_turn(area, made.samples, ("state", "prompt")) for area in (WIDE, NARROW))
    assert re.findall(r"<title>(.*?)</title>", wide) == re.findall(r"<title>(.*?)</title>", narrow)
