"""All figures of all modes, side by side."""

from html import escape

from warmturn.bench.result import BenchResult
from warmturn.bench.table import rows


def figures_table(result: BenchResult) -> str:
    head = "".join(f'<th class="{mode}-word" scope="col">{mode}</th>' for mode in result.modes)
    body = "".join(_row(label, cells) for label, cells in rows(result))
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(label: str, cells: list[str]) -> str:
    """The first of each group of percentiles stands a little apart."""
    group = ' class="group"' if label.endswith("p50") or label.startswith("output") else ""
    filled = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr{group}><th scope="row">{escape(label)}</th>{filled}</tr>'
