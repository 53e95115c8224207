"""Saved K and V: their names, their bytes, the places they are kept, and how they come back."""

from .bandwidth import Bandwidth
from .buffer import KVBuffer, KVSnapshot, round_up
from .codec import BlockCodec, CorruptBlock, ForeignBlock
from .disk import DiskTier
from .fingerprint import Fingerprint, FingerprintDigest
from .gap import Gap, MissReason
from .guard import GuardedTier
from .keys import BlockKey, BlockSpan, reusable_tokens
from .layout import KVLayout, LayerShape
from .prefix_cache import PrefixCache, PrefixMatch, Restored
from .priority import yield_to_others
from .ram import RamTier
from .saver import Saver
from .tier import Block, Tier, TierUnavailable
from .warmer import Held, Warmer

__all__ = [
    "Bandwidth",
    "Block",
    "BlockCodec",
    "BlockKey",
    "BlockSpan",
    "CorruptBlock",
    "DiskTier",
    "Fingerprint",
    "FingerprintDigest",
    "ForeignBlock",
    "Gap",
    "GuardedTier",
    "Held",
    "KVBuffer",
    "KVLayout",
    "KVSnapshot",
    "LayerShape",
    "MissReason",
    "PrefixCache",
    "PrefixMatch",
    "RamTier",
    "Restored",
    "Saver",
    "Tier",
    "TierUnavailable",
    "Warmer",
    "reusable_tokens",
    "round_up",
    "yield_to_others",
]
