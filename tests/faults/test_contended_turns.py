"""The short form of `python -m tests.faults contended-turns`."""

from pathlib import Path

import pytest
from tests.faults.rows.contended_turns import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_contended_turns_leave_no_gap_and_no_double(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["acknowledged"] > seen["turns"] // 4
    assert seen["refused"] > seen["turns"] // 100
