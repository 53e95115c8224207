"""The short form of `python -m tests.faults damaged-files`."""

from pathlib import Path

import pytest
from tests.faults.rows.damaged_files import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_no_byte_can_be_another_one_unnoticed(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["in the head, refused"] == 4
    assert seen["in the state, a miss"] > 10
    assert seen["tokens taken before it"] > 0
