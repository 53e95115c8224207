"""How many files and sockets this process may have open, and how many of them connections may take."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

BACKLOG: Final = 32
"""Connections that may be taken before any of them is looked at."""
_FILES: Final = 128
"""For the log, the disk tier, Redis and what libraries open."""


def room_for_connections(wanted: int) -> int:
    """As many of `wanted` as the process's limit leaves besides its own files; raises the limit as far as it may."""
    taken = sum(1 for _ in Path("/dev/fd").iterdir()) + BACKLOG
    needed = taken + _FILES + wanted
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < needed:
        limit = needed if most == resource.RLIM_INFINITY else min(most, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    if limit == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, limit - taken - min(_FILES, limit // 4)))
