"""The short form of `python -m tests.faults shared-log-faults`."""

from pathlib import Path

import pytest
from tests.faults.rows.shared_log_faults import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_whoever_dies_or_sleeps_no_acknowledged_turn_is_lost(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["acknowledged turns"] > 5 * ROW.short
    assert {name for name, count in seen.items() if count == 1} >= {"Redis killed", "servers killed"}
