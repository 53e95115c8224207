"""The short form of `python -m tests.faults moved-files`."""

from pathlib import Path

import pytest
from tests.faults.rows.moved_files import ROW
from tests.faults.short import hold


@pytest.mark.slow
def test_conversations_move_and_go_on_token_for_token(tmp_path: Path) -> None:
    seen = hold(ROW, tmp_path).counts
    assert seen["moves"] == 2 * ROW.short
    assert seen["tokens reused after a move"] >= seen["tokens of state"]
