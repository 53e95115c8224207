"""The progress line: where the run stands can be read in any terminal."""

import re
from io import StringIO

import pytest
from rich.console import Console
from tests.bench.making import MODES, sample
from tests.client.terminal import Terminal

from warmturn_bench.time_left import TimeLeft
from warmturn_bench.view import View


def last_frame(width: int) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    view = View(console, iter(range(10**6)).__next__)
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
    assert re.search(r" 720/1440 ~12:00 left", line)
    assert len(line) <= width


def test_at_80_columns_the_figures_of_the_first_modes_are_there_too() -> None:
    assert "TTFT state 1.23 s · prompt 1.23 s · " in last_frame(80)
    assert "TTFT state 1.23 s · prompt 1.23 s · nothing 1.23 s" in last_frame(120)


@pytest.mark.parametrize(
    ("turns", "seconds", "done", "spent", "said"),
    [
        (100, None, 0, 10.0, ""),
        (100, None, 25, 20.0, "~1:00 left"),
        (100, None, 1, 100.0, "~2:45:00 left"),
        (100, None, 100, 20.0, "~0:00 left"),
        (None, None, 25, 20.0, ""),
        (None, 90.0, 3, 20.0, "1:10 left"),
        (None, 90.0, 30, 91.0, "ending the round"),
    ],
)
def test_the_time_left(turns: int | None, seconds: float | None, done: int, spent: float, said: str) -> None:
    """From the first load on; starting a server before it is no turn's time."""
    clock = iter([1000.0, 1000.0 + spent])
    left = TimeLeft(clock.__next__, turns, seconds)
    assert left.in_words() == ""
    left.begin()
    left.begin()
    left.done = done
    assert left.in_words() == said
