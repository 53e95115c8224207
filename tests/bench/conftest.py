"""The load test as its users run it."""

from pathlib import Path

import pytest
from tests.client.command import Command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)
