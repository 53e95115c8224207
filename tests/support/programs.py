"""Programs that some tests need beside Python packages: skipped where they are missing, but not in CI."""

import os
import shutil
from pathlib import Path

import pytest


def program(name: str) -> Path:
    """Where `name` is; skips the test when it is not installed, fails it if WARMTURN_TESTS_REQUIRE_ALL is set."""
    if found := shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"):
        return Path(found)
    message = f"{name} is not installed; with Debian's package of it this test runs"
    if os.environ.get("WARMTURN_TESTS_REQUIRE_ALL"):
        pytest.fail(message)
    pytest.skip(message)
