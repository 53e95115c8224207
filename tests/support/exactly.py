"""Tests of `--exact`."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from warmturn_server.errors import ModelRefused


@contextmanager
def where_it_can_be_kept() -> Iterator[None]:
    """Elsewhere the start is refused, which is right: it is the processor that chooses kernels."""
    try:
        yield
    except ModelRefused as error:
        if "--exact cannot be kept" not in str(error):
            raise
        pytest.skip(f"this processor: {error}")
