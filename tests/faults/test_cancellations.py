"""The short form of `python -m tests.faults cancellations`."""

from pathlib import Path

import pytest
from tests.faults.rows.cancellations import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_a_client_that_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["cancellations"] == 5 * ROW.short
    assert seen["events before them"] > 0
