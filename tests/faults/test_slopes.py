"""The short form of `python -m tests.faults slopes`, and how slopes are fitted."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tests.faults.rows.slopes import ROW, Length, grown, rig, slope
from tests.faults.short import hold
from tests.support.launch import forked

LENGTH = Length(warm_up=20, measured=100, most_bytes_a_turn=64 * 1024, launch=forked)
"""In so few turns a server only begins to fill what it may; `server/test_garbage.py` counts what a turn leaves."""


@pytest.mark.slow
def test_what_a_server_holds_stays_flat(tmp_path: Path) -> None:
    seen = hold(replace(ROW, rig=partial(rig, LENGTH)), tmp_path)
    assert seen.counts["measured turns"] == ROW.short * LENGTH.measured


def test_a_slope_is_not_tilted_by_a_single_step() -> None:
    turns = list(range(0, 1000, 50))
    assert slope(turns, [10_000 + 7 * turn for turn in turns]) == pytest.approx(7)
    assert slope(turns, [10_000 + (4_000_000 if turn > 700 else 0) for turn in turns]) == 0
    assert slope(turns, [4_000_000 * (turn // 200) for turn in turns]) > 10_000


def test_what_has_grown_is_told_from_what_varies() -> None:
    assert grown([20, 21, 20, 20, 21, 20, 20, 20, 21]) == 0
    assert grown([20, 21, 22, 23, 24, 25, 26, 27, 28]) == 6
