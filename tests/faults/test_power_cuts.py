"""The short form of `python -m tests.faults power-cuts`."""

from pathlib import Path

import pytest
from tests.faults.rows.power_cuts import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_what_was_acknowledged_outlives_a_power_cut(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["acknowledged turns"] > 10 * ROW.short
    assert seen["deletions"] > 0
