"""A small line chart in braille dots, two by four in a character: https://www.unicode.org/charts/PDF/U2800.pdf"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

_DOT = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    values: Sequence[float]
    style: str


class Canvas:
    """Dots, counted from the lower left; a character takes the style of the last line through it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.width, self.height = 2 * columns, 4 * rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]

    def line(self, x0: int, y0: int, x1: int, y1: int, style: str) -> None:
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            self._dot(round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps), style)

    def rows(self) -> list[Text]:
        """From top to bottom."""
        return [
            Text.assemble(*((chr(_BLANK + dots), style) for dots, style in zip(row, styles, strict=True)))
            for row, styles in zip(self._dots, self._styles, strict=True)
        ]

    def _dot(self, x: int, y: int, style: str) -> None:
        from_top = self.height - 1 - y
        self._dots[from_top // 4][x // 2] |= _DOT[from_top % 4][x % 2]
        self._styles[from_top // 4][x // 2] = style


def line_chart(series: Sequence[Series], *, columns: int = 56, rows: int = 12, unit: str = "ms") -> list[Text]:
    """All series over the same turns 1, 2, ..., from zero to the largest value, each named at its right end."""
    top = max(max(one.values) for one in series) or 1.0
    canvas = Canvas(columns, rows)
    for one in series:
        _draw(canvas, one, top)
    names = _names_by_row(series, top, rows)
    lines = [
        Text.assemble((f"{_scale(row, rows, top, unit):>9} ┤", "dim"), text, " ", *names.get(row, ()))
        for row, text in enumerate(canvas.rows())
    ]
    return [*lines, _turn_axis(len(series[0].values), columns)]


def _draw(canvas: Canvas, series: Series, top: float) -> None:
    points = [
        (_position(i, len(series.values), canvas.width), round(value / top * (canvas.height - 1)))
        for i, value in enumerate(series.values)
    ]
    for (x0, y0), (x1, y1) in zip(points, points[1:] or points, strict=False):
        canvas.line(x0, y0, x1, y1, series.style)


def _position(index: int, count: int, width: int) -> int:
    return round(index / max(count - 1, 1) * (width - 1))


def _names_by_row(series: Sequence[Series], top: float, rows: int) -> dict[int, list[tuple[str, str]]]:
    """Beside the last value; lines that end in the same place share it."""
    names: dict[int, list[tuple[str, str]]] = {}
    for one in series:
        row = min(int((1 - one.values[-1] / top) * rows), rows - 1)
        label = names.setdefault(row, [])
        label.append((f", {one.name}" if label else one.name, one.style))
    return names


def _scale(row: int, rows: int, top: float, unit: str) -> str:
    if row in (0, rows // 2):
        return f"{top * (1 - row / rows):,.0f} {unit}"
    return f"0 {unit}" if row == rows - 1 else ""


def _turn_axis(turns: int, columns: int) -> Text:
    marks = [" "] * (columns + 4)
    for turn in range(1, turns + 1):
        label = str(turn)
        start = _position(turn - 1, turns, 2 * columns) // 2
        if all(mark == " " for mark in marks[max(start - 1, 0) : start + len(label)]):
            marks[start : start + len(label)] = label
    return Text(" " * 11 + "".join(marks).rstrip() + "  turn", style="dim")
