"""Everything, in the order in which a start would come upon it."""

from __future__ import annotations

from collections.abc import Iterator

from ..settings import Settings
from .finding import Finding
from .machine import look_at_machine
from .model import look_at_model
from .packages import look_at_packages
from .storage import look_at_data_dir, look_at_redis


def examine(settings: Settings) -> Iterator[Finding]:
    """Changes nothing but the folder of compiled kernels, loads no weights and fetches nothing."""
    yield from look_at_packages()
    yield from look_at_machine(settings)
    yield from look_at_data_dir(settings)
    yield from look_at_redis(settings)
    yield from look_at_model(settings)
