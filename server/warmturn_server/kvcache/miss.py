"""Why saved state ends where it does."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine_api.promise import BrokenBecause
from ..engine_api.report import MissReason
from .keys import BlockKey


@dataclass(frozen=True, slots=True)
class BlockMiss:
    """The first block that was not used: why, its key, and the tier that lost it, failed or was passed over."""

    reason: MissReason
    key: BlockKey | None = None
    tier: str | None = None
    promise: BrokenBecause | None = None
    """Why the block went although it was promised to stay; None where it was not."""
