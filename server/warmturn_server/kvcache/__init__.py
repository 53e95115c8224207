"""Saved K and V: their names, their bytes, the places they are kept, and how they come back."""

from .bandwidth import Bandwidth
from .buffer import KVBuffer, KVSnapshot, round_up
from .codec import BlockCodec, CorruptBlock, ForeignBlock
from .disk import DiskTier
from .far import FarTier, Patience, PrefillSeconds
from .fingerprint import Fingerprint, FingerprintDigest
from .gap import Gap, MissReason
from .guard import GuardedTier
from .int8 import Int8
from .keys import BlockKey, BlockSpan, reusable_tokens
from .layout import KVLayout, LayerShape
from .packing import Packing, Plain, Zstd
from .prefix_cache import PrefixCache
from .prefix_match import PrefixMatch, Restored
from .priority import yield_to_others
from .ram import RamTier
from .redis import RedisTier
from .saver import Saver
from .seal import Seal
from .tier import Block, Tier, TierFull, TierUnavailable
from .warmer import Held, Warmer

__all__ = [
    "Bandwidth",
    "Block",
    "BlockCodec",
    "BlockKey",
    "BlockSpan",
    "CorruptBlock",
    "DiskTier",
    "FarTier",
    "Fingerprint",
    "FingerprintDigest",
    "ForeignBlock",
    "Gap",
    "GuardedTier",
    "Held",
    "Int8",
    "KVBuffer",
    "KVLayout",
    "KVSnapshot",
    "LayerShape",
    "MissReason",
    "Packing",
    "Patience",
    "Plain",
    "PrefillSeconds",
    "PrefixCache",
    "PrefixMatch",
    "RamTier",
    "RedisTier",
    "Restored",
    "Saver",
    "Seal",
    "Tier",
    "TierFull",
    "TierUnavailable",
    "Warmer",
    "Zstd",
    "reusable_tokens",
    "round_up",
    "yield_to_others",
]
