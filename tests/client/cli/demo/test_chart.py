"""The chart that the demo ends with."""

import pytest

from warmturn.cli.demo.chart import Series, line_chart


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


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [5.0], [1.0, 1e9]])
def test_the_chart_draws_any_values(values: list[float]) -> None:
    assert len(line_chart([Series("a", values, "red")], columns=8, rows=3)) == 4
