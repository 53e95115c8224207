"""The short form of `python -m tests.faults requests`."""

from pathlib import Path

import pytest
from tests.faults.rows.requests import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_every_answer_is_as_described(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["requests"] > 5 * ROW.short
    assert seen["requests in chains"] > ROW.short
    assert seen["answered 2xx"] > ROW.short
