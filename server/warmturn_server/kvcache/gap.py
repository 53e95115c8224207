"""Why saved state ends where it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .keys import BlockKey


class MissReason(StrEnum):
    """Why reuse stopped short of what a conversation had; a closed list."""

    EVICTED = "evicted"
    NOT_FOUND = "not_found"
    CORRUPT = "corrupt"
    FINGERPRINT = "fingerprint"
    STORE_UNAVAILABLE = "store_unavailable"
    RECOMPUTE_FASTER = "recompute_faster"
    HISTORY_REWRITTEN = "history_rewritten"


@dataclass(frozen=True, slots=True)
class Gap:
    """The first block that was not used: why, its key, and the tier that lost it, failed or was passed over."""

    reason: MissReason
    key: BlockKey | None = None
    tier: str | None = None
