"""The short form of `python -m tests.faults corrupted-blocks`."""

from pathlib import Path

import pytest
from tests.faults.rows.corrupted_blocks import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_a_damaged_block_costs_time_and_no_token(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["damaged"] > 0.8 * ROW.short
    assert seen["tokens reused before it"] > 0
