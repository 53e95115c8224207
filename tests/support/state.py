"""Random K and V to save and restore, without a model."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import torch
from tests.support.device import DEVICE

from warmturn_server.engine_api import Located
from warmturn_server.kvcache import (
    BlockCodec,
    BlockSealer,
    Compression,
    DiskTier,
    Envelope,
    Fingerprint,
    FingerprintDigest,
    GuardedTier,
    KVBuffer,
    KVLayout,
    LayerShape,
    NoSealer,
    Plain,
    PrefixCache,
    RamTier,
    RedisTier,
    RestorePolicy,
    SealedCodec,
    StateLayout,
    Tier,
    Zstd,
)
from warmturn_server.redis_link import RedisLink

BLOCK_SIZE: Final = 4

FINGERPRINT: Final = Fingerprint(
    weights="w",
    config="c",
    tokenizer="t",
    template="m",
    dtype="float32",
    rope="r",
    attention="a",
    layout="l",
    block_size=BLOCK_SIZE,
    runtime="torch",
)
DIGEST: Final = FINGERPRINT.digest()


def changed_fingerprint(name: str) -> Fingerprint:
    """The fingerprint with one field changed."""
    fields = dataclasses.asdict(FINGERPRINT)
    fields[name] = fields[name] + 1 if isinstance(fields[name], int) else fields[name] + "x"
    return Fingerprint(**fields)


# Layers of different widths, K wider than V in one of them: what a block must keep apart.
LAYOUT: Final = KVLayout.of([LayerShape(2, 4, 4), LayerShape(1, 6, 2)], torch.float32)

NO_SEALER: Final = NoSealer()


class Tally:
    """Counts what the cache reports."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.saved_bytes = 0
        self.dropped = 0
        self.prefetch_statuses: list[str] = []
        self.prefetched_tokens: dict[str, int] = {}

    def tier_failed(self, tier: str) -> None:
        self.failures.append(tier)

    def state_saved(self, num_bytes: int) -> None:
        self.saved_bytes += num_bytes

    def save_dropped(self) -> None:
        self.dropped += 1

    def prefetch_asked(self, held: Located) -> None:
        self.prefetch_statuses.append(held.status)

    def prefetched(self, tier: str, num_tokens: int) -> None:
        self.prefetched_tokens[tier] = self.prefetched_tokens.get(tier, 0) + num_tokens

    def prefetch_dropped(self) -> None:
        self.dropped += 1


def token_ids(num_tokens: int, first: int = 100) -> tuple[int, ...]:
    return tuple(range(first, first + num_tokens))


def filled_buffer(num_tokens: int, layout: KVLayout = LAYOUT, seed: int = 0) -> KVBuffer:
    """A sequence's buffer with random K and V of `num_tokens` tokens."""
    buffer = KVBuffer(layout, DEVICE, num_tokens)
    generator = torch.Generator().manual_seed(seed)
    for layer in range(len(layout.layers)):
        for part in buffer.layer(layer):
            part[:, :num_tokens] = torch.randn(part[:, :num_tokens].shape, generator=generator).to(layout.dtype)
    buffer.length = num_tokens
    return buffer


def contents(buffer: KVBuffer, start: int = 0, stop: int | None = None) -> bytes:
    """Every bit of K and V of tokens `[start, stop)`, layer after layer."""
    stop = buffer.length if stop is None else stop
    parts = (part for layer in range(len(buffer.layout.layers)) for part in buffer.layer(layer))
    return b"".join(part[:, start:stop].cpu().contiguous().view(torch.uint8).numpy().tobytes() for part in parts)


def codec_of(digest: FingerprintDigest = DIGEST, layout: StateLayout = LAYOUT) -> BlockCodec:
    return BlockCodec(digest, layout)


def cache_over(
    *tiers: Tier,
    digest: FingerprintDigest = DIGEST,
    tally: Tally | None = None,
    layout: StateLayout = LAYOUT,
    sealer: BlockSealer = NO_SEALER,
) -> PrefixCache:
    tally = tally or Tally()
    foreign = [tier.drop_foreign for tier in tiers if isinstance(tier, DiskTier) and tier.has_foreign_blocks]
    guarded = [GuardedTier(tier, tally) for tier in tiers]
    policy = RestorePolicy(layout, [tier.name for tier in tiers])
    codec = SealedCodec(codec_of(digest, layout), sealer)
    return PrefixCache(codec, BLOCK_SIZE, guarded, policy, drop_foreign=next(iter(foreign), None))


def ram(budget_bytes: int = 2**20) -> RamTier:
    return RamTier(budget_bytes)


def disk(root: Path, budget_bytes: int = 2**20, digest: FingerprintDigest = DIGEST) -> DiskTier:
    return DiskTier(root, digest, budget_bytes)


def redis_tier(
    url: str,
    *,
    secret: bytes = b"",
    digest: FingerprintDigest = DIGEST,
    compressions: Sequence[Compression] = (),
    ttl_seconds: int = 100,
) -> RedisTier:
    """As the server makes it, for small blocks."""
    connect = partial(RedisLink.parse(url).client, timeout_seconds=5)
    compressions = compressions or [Plain(), Zstd(4)]
    return RedisTier(connect, Envelope(digest, secret), compressions, ttl_seconds=ttl_seconds, max_block_bytes=10_000)


def always() -> bool:
    return True
