"""All tiers of a server as one: which of them holds a block, and what is done to several at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from ...engine_api.report import MissReason
from ..keys import BlockKey
from ..miss import BlockMiss
from .guard import GuardedTier
from .remote import RemoteTier
from .tier import Block


class TierStack:
    """Fastest first. `local` are the tiers on this machine, `remote` those over a network.

    Only methods that say so wait for the latter.
    """

    def __init__(self, tiers: Iterable[GuardedTier]) -> None:
        self._tiers = tuple(tiers)
        self.local = tuple(tier for tier in self._tiers if tier.medium != "network")
        self.remote = tuple(tier for tier in self._tiers if tier.medium == "network")
        self._remote = {tier.name: RemoteTier(tier) for tier in self.remote}
        self._moving = threading.Lock()

    def __iter__(self) -> Iterator[GuardedTier]:
        return iter(self._tiers)

    def faster_than(self, tier: GuardedTier) -> Sequence[GuardedTier]:
        return self._tiers[: self._tiers.index(tier)]

    def local_holders(self, keys: Sequence[BlockKey]) -> list[GuardedTier | None]:
        """For each key the fastest tier on this machine that has it."""
        held: list[GuardedTier | None] = [None] * len(keys)
        for tier in reversed(self.local):
            held = [tier if has else other for has, other in zip(tier.contains(keys), held, strict=True)]
        return held

    def holders(self, keys: Sequence[BlockKey], seconds_left: Callable[[], float]) -> list[GuardedTier | None]:
        """The same over all tiers. Waits for a network, but no longer than there is time left."""
        held = self.local_holders(keys)
        for remote in self._remote.values():
            if lacking := [key for key, tier in zip(keys, held, strict=True) if tier is None]:
                has = dict(zip(lacking, remote.contains(lacking, seconds_left()), strict=True))
                held = [tier or (remote.tier if has[key] else None) for key, tier in zip(keys, held, strict=True)]
        return held

    def why_lost(self, key: BlockKey | None) -> BlockMiss | None:
        """What the tiers know about a block that none of them has; the slowest that knows something is named."""
        for tier in reversed(self._tiers):
            if not tier.available:
                return BlockMiss(MissReason.STORE_UNAVAILABLE, key, tier.name)
        for tier in reversed(self._tiers):
            if key is not None and tier.evicted(key):
                return BlockMiss(MissReason.EVICTED, key, tier.name)
        for tier in reversed(self._tiers):
            if not tier.writable:  # so it cannot have taken the block
                return BlockMiss(MissReason.STORE_UNAVAILABLE, key, tier.name)
        return None

    def over_network(
        self, tier: GuardedTier, pieces: Sequence[Sequence[BlockKey]], seconds_left: Callable[[], float]
    ) -> Iterator[dict[BlockKey, Block]]:
        """What one of `remote` has of each piece, in order. Raises `DeadlineExceeded`."""
        return self._remote[tier.name].read(pieces, seconds_left)

    def discard(self, tier: GuardedTier, key: BlockKey) -> None:
        """Have one tier forget a block that is not what it should be."""
        remote = self._remote.get(tier.name)
        (tier.remove_many if remote is None else remote.remove)([key])

    def keep_in_memory(self, tier: GuardedTier, blocks: dict[BlockKey, Block]) -> None:
        """What a tier gave for a turn stays there for the next; elsewhere it is saved after this one anyway."""
        for faster in self.faster_than(tier):
            if faster.medium == "memory":
                faster.put_many(dict(reversed(blocks.items())))

    def prefetch(
        self,
        tier: GuardedTier,
        keys: Sequence[BlockKey],
        prove: Callable[[Mapping[BlockKey, Block]], dict[BlockKey, Block]],
    ) -> Collection[BlockKey]:
        """Copy those of a tier's blocks that `prove` lets pass into the faster ones, the first key last.

        Not while something is removed, or what was just deleted could come back. Waits for a network if the tier is
        over one.
        """
        with self._moving:
            proved = prove(tier.get_many(keys))
            for faster in self.faster_than(tier):
                faster.put_many(dict(reversed(proved.items())))
        return proved.keys()

    def remove(self, keys: Collection[BlockKey], tiers: Collection[GuardedTier]) -> None:
        """From the slowest of `tiers` first, or what it holds could still be prefetched. Waits for a network."""
        with self._moving:
            for tier in reversed(list(tiers)):
                tier.remove_many(keys)

    def close(self) -> None:
        """Give up what is still asked for over a network."""
        for remote in self._remote.values():
            remote.close()
