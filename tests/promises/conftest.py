"""Fixtures of the promises' tests."""

from collections.abc import Iterator

import pytest

from warmturn_server.engine import admission
from warmturn_server.kvcache import RestorePolicy


@pytest.fixture(scope="module")
def restoring_always_wins() -> Iterator[None]:
    """Tiny models recompute faster than any clock can tell; what is tested here is what restoring brings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RestorePolicy, "restore_seconds", lambda *_: 0.0)
        patch.setattr(admission, "_WORTH_ASKING_SECONDS", 0.0)
        yield
