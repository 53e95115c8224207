"""The run in four figures, and in all of them side by side."""

from collections.abc import Iterator
from html import escape

from warmturn.format import milliseconds
from warmturn_bench.resampling import percentile
from warmturn_bench.result import BenchResult
from warmturn_bench.stats import ModeFigures
from warmturn_bench.summary import rows

Tile = tuple[str, str]


def tiles(result: BenchResult) -> str:
    items = (f"<li><b>{escape(figure)}</b><span>{escape(meaning)}</span></li>" for figure, meaning in _tiles(result))
    return f'<ul class="tiles">{"".join(items)}</ul>'


def _tiles(result: BenchResult) -> Iterator[Tile]:
    main = result.modes.get("state") or next(iter(result.modes.values()), None)
    if main is None:
        return
    yield _first_text(result, main)
    yield _reused(main)
    yield _saved(main) if main.saved.measured is not None else _tail(main)
    yield _answers(result, main)


def _first_text(result: BenchResult, main: ModeFigures) -> Tile:
    prompt = result.modes.get("prompt")
    if prompt is None or prompt is main or prompt.ttft_p50 is None:
        return _ms(main.ttft_p50), "median time to first text"
    return _ms(main.ttft_p50), f"median time to first text, instead of {_ms(prompt.ttft_p50)}"


def _reused(main: ModeFigures) -> Tile:
    if main.reused_share is None:
        return "?", "of the prompts' tokens reused: the server does not say"
    return f"{main.reused_share:.0%}", f"of {main.prompt_tokens or 0:,} prompt tokens came from saved state"


def _saved(main: ModeFigures) -> Tile:
    saved = main.saved
    sure = f" ({saved.interval.low:.1f} to {saved.interval.high:.1f} with 95% confidence)" if saved.interval else ""
    if saved.is_clear is False:
        return "no clear difference", f"in waiting over {saved.paired_turns} turns, measured{sure}"
    return f"{saved.measured or 0.0:.1f} s", f"of waiting saved over {saved.paired_turns} turns, measured{sure}"


def _tail(main: ModeFigures) -> Tile:
    return _ms(percentile(main.ttft_ms, 95)), "time to first text that 95% of the turns did not exceed"


def _answers(result: BenchResult, main: ModeFigures) -> Tile:
    if same := result.same_answers:
        return f"{same.same} of {same.compared}", "turns on the same history were answered alike in every mode"
    return f"{main.turns:,}", f"turns answered, {main.errors:,} failed"


def _ms(value: float | None) -> str:
    return "?" if value is None else milliseconds(value)


def figures_table(result: BenchResult) -> str:
    head = "".join(f'<th class="{mode}-word" scope="col">{mode}</th>' for mode in result.modes)
    body = "".join(_row(label, cells) for label, cells in rows(result))
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(label: str, cells: list[str]) -> str:
    """The first of each group of percentiles stands a little apart."""
    group = ' class="group"' if label.endswith("p50") or label.startswith("output") else ""
    filled = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr{group}><th scope="row">{escape(label)}</th>{filled}</tr>'
