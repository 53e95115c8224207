"""The page itself: what it says in words, and where the pictures stand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from warmturn_bench.report.axes import NARROW, WIDE, Area
from warmturn_bench.report.charts.distribution import distribution
from warmturn_bench.report.charts.saved import saved_over_run
from warmturn_bench.report.charts.sources import sources_over_run, used_sources
from warmturn_bench.report.charts.tier_bytes import tier_bytes
from warmturn_bench.report.charts.ttft_by_turn import ttft_by_turn
from warmturn_bench.report.method import circumstances, method
from warmturn_bench.report.tables import figures_table, tiles
from warmturn_bench.result import BenchResult
from warmturn_bench.sample import Recording
from warmturn_bench.stats import pairs, saved_over_time
from warmturn_bench.verdict import headline

_MODES = {
    "state": "goes on from the saved state of the conversation, so that only what is new is computed",
    "prompt": "computes the whole conversation again at every turn, as a server without saved state does",
    "nothing": "computes the whole conversation again for every single token of the answer",
}
_SOURCES = {
    "resident": "still in the model's memory",
    "ram": "main memory",
    "disk": "disk",
    "redis": "Redis",
    "reused": "reused",
    "computed": "computed",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """The same picture for a desk and for a phone; the page shows the one that fits."""

    wide: str
    narrow: str


def _drawn(draw: Callable[[Area], str]) -> Drawn:
    return Drawn(draw(WIDE), draw(NARROW))


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with what it shows above it and how to read it below."""

    title: str
    drawn: Drawn
    caption: str
    key: Mapping[str, str]

    def html(self) -> str:
        key = "".join(
            f'<li><i style="background:var(--{name})"></i>{escape(meaning)}</li>' for name, meaning in self.key.items()
        )
        legend = f'<ul class="key">{key}</ul>' if key else ""
        return (
            f'<h2>{escape(self.title)}</h2><p class="small">{escape(self.caption)}</p>'
            f"<figure>{self.drawn.wide}{self.drawn.narrow}{legend}</figure>"
        )


def style(name: str) -> str:
    return (files("warmturn_bench.report") / name).read_text(encoding="utf-8")


def main_picture(result: BenchResult, recording: Recording, area: Area) -> str:
    return ttft_by_turn(area, recording.samples, tuple(result.modes))


def page(result: BenchResult, recording: Recording) -> str:
    """One file without scripts, and without a request to anywhere."""
    title = escape(headline(result.modes))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title} · warmturn bench</title>\n<style>\n{style('chart.css')}{style('page.css')}</style>\n</head>\n"
        f"<body>\n<main>\n{_top(result, title)}\n{''.join(_figures(result, recording))}\n"
        f"<h2>All figures</h2>\n{figures_table(result)}\n{method(result)}\n{circumstances(result)}\n"
        f"<footer>Written by <code>{escape(result.circumstances.command)}</code>. The same figures are in "
        "<code>result.json</code>, every single turn in <code>turns.jsonl</code>.</footer>\n</main>\n</body>\n</html>\n"
    )


def _top(result: BenchResult, title: str) -> str:
    there = result.circumstances
    modes = "".join(
        f'<li><b class="{mode}-word">{mode}</b> {_MODES[mode]}</li>' for mode in result.modes if len(result.modes) > 1
    )
    return (
        f'<p class="over">Load test · {escape(result.scenario)} · {escape(result.model)}</p><h1>{title}</h1>'
        f'<p class="lead">{escape(there.about)} {there.conversations} of them, {escape(there.load)}.</p>'
        f"{''.join(_warnings(result))}{tiles(result)}" + (f'<ul class="modes">{modes}</ul>' if modes else "")
    )


def _warnings(result: BenchResult) -> Iterator[str]:
    said = list(result.broken_promises())
    if result.partial:
        said.append("The run was interrupted: these figures are of a part of it.")
    if failed := sum(figures.errors for figures in result.modes.values()):
        said.append(f"{failed} turns failed.")
    return (f'<p class="warning">{escape(one)}</p>' for one in said)


def _figures(result: BenchResult, recording: Recording) -> Iterator[str]:
    return (figure.html() for figure in _all_figures(result, recording) if figure.drawn.wide)


def _all_figures(result: BenchResult, recording: Recording) -> Iterator[Figure]:
    yield Figure(
        "Time to first text by turn",
        _drawn(lambda area: main_picture(result, recording, area)),
        "How long a user waits until the answer begins, as the conversation grows. The line is the median of all "
        "conversations, the band around it holds the middle half of them.",
        {},
    )
    ttft = {mode: figures.ttft_ms for mode, figures in result.modes.items()}
    target = result.circumstances.goodput_ttft_ms
    yield Figure(
        "How many answers began within which time",
        _drawn(lambda area: distribution(area, ttft, target)),
        "Read it from below: a line that rises further to the left is a server that answers sooner. Half of the turns "
        "lie below the 50% mark, the slowest are at the top right.",
        {mode: mode for mode in ttft} if len(ttft) > 1 else {},
    )
    yield from _tier_figures(recording)
    yield from _saved_figures(result, recording)


def _tier_figures(recording: Recording) -> Iterator[Figure]:
    state = recording.of_mode("state")
    yield Figure(
        "Where the conversation came from",
        _drawn(lambda area: sources_over_run(area, state, recording.kills)),
        "Of every prompt on saved state: which part was taken from which tier, and which part had to be computed. "
        "What the user just said is always computed, so some of it always remains.",
        {name: _SOURCES.get(name, name) for name in used_sources(state)},
    )
    yield Figure(
        "What each tier held",
        _drawn(lambda area: tier_bytes(area, recording.tiers, recording.kills)),
        "Bytes of saved state in each place while the test ran. The same state may be in several places at once.",
        {},
    )


def _saved_figures(result: BenchResult, recording: Recording) -> Iterator[Figure]:
    course = saved_over_time(pairs(recording.samples), result.circumstances.seed)
    yield Figure(
        "Seconds of waiting saved",
        _drawn(lambda area: saved_over_run(area, course)),
        "Measured: every turn was also answered by computing everything, and the two waits for first text were "
        "subtracted; where reuse lost, the line falls. The band is the 95% interval, from drawing whole conversations "
        "anew. Estimated: what the server itself claims per turn; it counts computing only, not the queue that less "
        "computing spares everybody else.",
        {},
    )
