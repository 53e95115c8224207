"""Names of saved blocks: a chain of hashes, the same in every process and on every machine."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NewType

import numpy as np

BlockKey = NewType("BlockKey", bytes)


@dataclass(frozen=True, slots=True)
class BlockSpan:
    """A block's key and the tokens `[start, stop)` whose K and V it holds."""

    key: BlockKey
    start: int
    stop: int

    @property
    def num_tokens(self) -> int:
        return self.stop - self.start


def chain_seed(tenant: str, fingerprint: bytes) -> BlockKey:
    """Start of a tenant's chain: without the tenant's name and the very model, no key can be derived."""
    return BlockKey(hmac.digest(fingerprint, b"warmturn tenant\0" + tenant.encode(), "sha256"))


def next_key(previous: BlockKey, token_ids: Sequence[int]) -> BlockKey:
    """Key of the block that holds `token_ids` after the block named `previous`."""
    return BlockKey(hashlib.sha256(previous + np.asarray(token_ids, dtype="<i8").tobytes()).digest())


def full_blocks(seed: BlockKey, token_ids: Sequence[int], block_size: int) -> Iterator[BlockSpan]:
    """The whole blocks of a sequence, in order."""
    key = seed
    for start in range(0, len(token_ids) - block_size + 1, block_size):
        key = next_key(key, token_ids[start : start + block_size])
        yield BlockSpan(key, start, start + block_size)


def partial_blocks(previous: BlockKey, token_ids: Sequence[int], start: int, block_size: int) -> Iterator[BlockSpan]:
    """Every shorter block that a turn may have ended with at `start`, longest first."""
    longest = min(block_size - 1, len(token_ids) - start)
    for num_tokens in range(longest, 0, -1):
        yield BlockSpan(next_key(previous, token_ids[start : start + num_tokens]), start, start + num_tokens)


def blocks_of(seed: BlockKey, token_ids: Sequence[int], block_size: int) -> list[BlockSpan]:
    """The blocks that a sequence is saved as: whole ones, then the partial rest if there is one."""
    spans = list(full_blocks(seed, token_ids, block_size))
    start = spans[-1].stop if spans else 0
    previous = spans[-1].key if spans else seed
    return spans + list(partial_blocks(previous, token_ids, start, block_size))[:1]


def every_block(seed: BlockKey, token_ids: Sequence[int], block_size: int) -> Iterator[BlockSpan]:
    """Whatever these tokens and every beginning of them can have been saved as."""
    previous, start = seed, 0
    for span in [*full_blocks(seed, token_ids, block_size), None]:
        yield from partial_blocks(previous, token_ids, start, block_size)
        if span is not None:
            yield span
            previous, start = span.key, span.stop


def chain_root(seed: BlockKey, token_ids: Sequence[int], block_size: int) -> BlockKey | None:
    """The key of the first whole block; what is shorter has none, and cannot be told from others by it."""
    return next_key(seed, token_ids[:block_size]) if len(token_ids) >= block_size else None


def reusable_tokens(num_tokens: int) -> int:
    """All but the last token: its logits begin the reply."""
    return max(num_tokens - 1, 0)
