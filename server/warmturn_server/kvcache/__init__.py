"""Saved K and V: their names, their bytes, the places they are kept, and how they come back."""

from .bandwidth import Bandwidth
from .buffer import KVBuffer, KVSnapshot, round_up
from .carrier import Carrier
from .codec import BlockCodec, CorruptBlock, ForeignBlock
from .fingerprint import Fingerprint, FingerprintDigest
from .keys import BlockKey, BlockSpan, reusable_tokens
from .layout import KVLayout, LayerShape
from .match import PrefixMatch, Restored
from .miss import BlockMiss
from .passing import PassingBlocks
from .prefetcher import Prefetcher
from .prefix_cache import PrefixCache
from .promises.ledger import LEDGER_NAME, Ledger, promised_keys
from .promises.limits import Limits
from .promises.promises import PromiseObserver, Promises
from .restore_policy import Deadline, PrefillSeconds, RestorePolicy, RestoreVerdict
from .saver import Saver
from .sealer import BlockSealer, NoSealer, SealedCodec
from .spare import SpareMemory
from .state import SequenceState, StateLayout, StateSnapshot
from .tiers.disk import DiskTier
from .tiers.guard import GuardedTier
from .tiers.ram import RamTier
from .tiers.redis.compression import Compression, Plain, Zstd
from .tiers.redis.envelope import Envelope
from .tiers.redis.int8 import Int8
from .tiers.redis.tier import RedisTier
from .tiers.remote import RemoteTier
from .tiers.tier import Block, Tier, TierFull, TierUnavailable

__all__ = [
    "LEDGER_NAME",
    "Bandwidth",
    "Block",
    "BlockCodec",
    "BlockKey",
    "BlockMiss",
    "BlockSealer",
    "BlockSpan",
    "Carrier",
    "Compression",
    "CorruptBlock",
    "Deadline",
    "DiskTier",
    "Envelope",
    "Fingerprint",
    "FingerprintDigest",
    "ForeignBlock",
    "GuardedTier",
    "Int8",
    "KVBuffer",
    "KVLayout",
    "KVSnapshot",
    "LayerShape",
    "Ledger",
    "Limits",
    "NoSealer",
    "PassingBlocks",
    "Plain",
    "Prefetcher",
    "PrefillSeconds",
    "PrefixCache",
    "PrefixMatch",
    "PromiseObserver",
    "Promises",
    "RamTier",
    "RedisTier",
    "RemoteTier",
    "RestorePolicy",
    "RestoreVerdict",
    "Restored",
    "Saver",
    "SealedCodec",
    "SequenceState",
    "SpareMemory",
    "StateLayout",
    "StateSnapshot",
    "Tier",
    "TierFull",
    "TierUnavailable",
    "Zstd",
    "promised_keys",
    "reusable_tokens",
    "round_up",
]
