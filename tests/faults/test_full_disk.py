"""The short form of `python -m tests.faults full-disk`."""

from pathlib import Path

import pytest
from tests.faults.rows.full_disk import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_costs_no_acknowledged_turn(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["refused writes"] > ROW.short
    assert seen["refused turns"]
    assert seen["acknowledged turns"]
