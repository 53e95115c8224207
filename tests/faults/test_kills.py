"""The short form of `python -m tests.faults kills`."""

from pathlib import Path

import pytest
from tests.faults.rows.kills import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_a_server_that_is_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["kills"] == ROW.short
    assert seen["acknowledged turns"] > ROW.short
