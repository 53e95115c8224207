"""The short form of `python -m tests.faults corrupted-log`."""

from pathlib import Path

import pytest
from tests.faults.rows.corrupted_log import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_a_damaged_log_is_told_of_and_never_says_something_else(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["refused at start"] + seen["told when read"] > 0.5 * ROW.short
