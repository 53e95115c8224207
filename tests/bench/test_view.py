"""The progress line: where the run stands can be read in any terminal."""

import re
from io import StringIO

import pytest
from rich.console import Console
from tests.bench.making import MODES, sample
from tests.client.terminal import Terminal

from warmturn_bench.view import View


def last_frame(width: int) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    view = View(console)
    with view.shown():
        view.expect(1440)
        for mode in MODES:
            view.segment(9, mode)
            for turn in range(240):
                view.turn(sample(mode, 0, turn, 1234.5))
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [line for line in re.split(r"[\r\n]+", Terminal.plain(written)) if "round" in line][-1]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_count_total_and_time_stay_in_sight(width: int) -> None:
    line = last_frame(width)
    assert "round 10, nothing" in line
    assert re.search(r" 720/1440 .*\d:\d\d:\d\d ", line)
    assert len(line) <= width


def test_at_80_columns_the_figures_of_the_first_modes_are_there_too() -> None:
    assert "TTFT state 1.23 s · prompt 1.23 s · " in last_frame(80)
    assert "TTFT state 1.23 s · prompt 1.23 s · nothing 1.23 s" in last_frame(120)
