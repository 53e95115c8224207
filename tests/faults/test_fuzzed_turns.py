"""The short form of `python -m tests.faults fuzzed-turns`."""

from pathlib import Path

import pytest
from tests.faults.rows.fuzzed_turns import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_whatever_happened_before_a_turn_its_answer_is_right(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["turns"] >= ROW.short
    assert seen["tokens reused"] > 10 * ROW.short
