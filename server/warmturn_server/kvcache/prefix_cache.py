"""Finds, brings back and keeps the saved state of token prefixes, over all tiers, nearest first."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from ..engine_api.report import MissReason
from .buffer import beside_the_model
from .codec import BlockCodec
from .fingerprint import FingerprintDigest
from .keys import BlockKey, BlockSpan, blocks_of, chain_seed, every_block, next_key
from .match import Holders, PrefixMatch, Restored, find_prefix
from .miss import BlockMiss
from .quarantine import Quarantine
from .reader import BlockReader, Piece
from .restore_policy import Deadline, RestorePolicy
from .state import SequenceState, StateSnapshot
from .tiers.guard import GuardedTier
from .tiers.remote import DeadlineExceeded, RemoteTier
from .tiers.tier import Block


class PrefixCache:
    """Saved state by token prefix. A cache may be slow or absent, never wrong: whatever is doubtful is a miss.

    `local` are the tiers on this machine, `remote` those over a network. Only methods that say so wait for the latter.
    """

    def __init__(
        self,
        codec: BlockCodec,
        block_size: int,
        tiers: Sequence[GuardedTier],
        policy: RestorePolicy,
        *,
        foreign_blocks: bool = False,
    ) -> None:
        self.fingerprint: FingerprintDigest = codec.fingerprint
        self.block_size = block_size
        self.tiers = tuple(tiers)
        self.local = tuple(tier for tier in tiers if tier.medium != "network")
        self.remote = tuple(tier for tier in tiers if tier.medium == "network")
        self.policy = policy
        self._codec = codec
        self._foreign_blocks = foreign_blocks
        self._remote = {tier.name: RemoteTier(tier) for tier in self.remote}
        self._reader = BlockReader(codec, block_size, self._remote)
        self._moving = threading.Lock()
        self._quarantine = Quarantine()

    def match(self, tenant: str, token_ids: Sequence[int]) -> PrefixMatch:
        """The longest prefix of `token_ids` saved on this machine."""
        return self._find(tenant, token_ids, self._local_holders)

    def match_everywhere(
        self, tenant: str, token_ids: Sequence[int], seconds_left: Callable[[], float] = lambda: math.inf
    ) -> PrefixMatch:
        """The same over all tiers. Waits for a network, but no longer than there is time left."""

        def holders(keys: Sequence[BlockKey]) -> list[GuardedTier | None]:
            held = self._local_holders(keys)
            for remote in self._remote.values():
                if lacking := [key for key, tier in zip(keys, held, strict=True) if tier is None]:
                    has = dict(zip(lacking, remote.contains(lacking, seconds_left()), strict=True))
                    held = [tier or (remote.tier if has[key] else None) for key, tier in zip(keys, held, strict=True)]
            return held

        return self._find(tenant, token_ids, holders)

    def restore(
        self, match: PrefixMatch, token_ids: Sequence[int], state: SequenceState, deadline: Deadline | None = None
    ) -> Restored:
        """Append the match to `state`, block by block, up to the first one that is not what it should be.

        `state` holds a prefix of the same tokens, and every span of the match reaches beyond it. Waits for a network
        where the match does; without `deadline` for as long as it takes.
        """
        restored = Restored()
        for tier, spans in match.runs():
            began, before = time.perf_counter(), state.length
            with beside_the_model(state.device):
                restored.block_miss = self._restore_run(tier, spans, token_ids, state, deadline)
            seconds, tokens = time.perf_counter() - began, state.length - before
            restored.add(tier.name, tokens, seconds)
            if restored.block_miss is not None:  # waiting for what never came says nothing about speed
                break
            self.policy.restored(tier.name, tokens, seconds)
        return restored

    def restore_from_remote(
        self, tenant: str, token_ids: Sequence[int], state: SequenceState, deadline: Deadline
    ) -> Restored:
        """Look beyond `state` over the network too, and append what is there and worth waiting for."""
        match = self.match_everywhere(tenant, token_ids, lambda: deadline.left_for_lookup(state.length))
        beyond = match.beyond(state.length)
        verdict = self.policy.worth_it(beyond, state.length, deadline.compute_seconds)
        if verdict.refusal:
            self.policy.passed_over(beyond)
            return Restored(block_miss=verdict.refusal, expected_seconds=verdict.expected_seconds)
        restored = self.restore(beyond, token_ids, state, deadline)
        if restored.block_miss is None and state.length < len(token_ids):
            restored.block_miss = self.why_missing(match.stopped_by)
        return restored

    def why_missing(self, key: BlockKey | None) -> BlockMiss:
        """The most that is known about a block that no tier has; of several tiers the farthest is named."""
        if key in self._quarantine:
            return BlockMiss(MissReason.CORRUPT, key)
        for tier in reversed(self.tiers):
            if not tier.available:
                return BlockMiss(MissReason.STORE_UNAVAILABLE, key, tier.name)
        for tier in reversed(self.tiers):
            if key is not None and tier.evicted(key):
                return BlockMiss(MissReason.EVICTED, key, tier.name)
        return BlockMiss(MissReason.FINGERPRINT if self._foreign_blocks else MissReason.NOT_FOUND, key)

    @property
    def moment(self) -> int:
        """Grows with each quarantine; to be noted when state is handed over for saving."""
        return self._quarantine.moment

    def quarantine(self, tenant: str, token_ids: Sequence[int]) -> int:
        """Trust nothing of this chain any more; the number of its blocks. Returns at once: `forget` removes them."""
        if (root := self._root(tenant, token_ids)) is not None:
            self._quarantine.distrust(root)
        return math.ceil(len(token_ids) / self.block_size)

    def save(
        self,
        tenant: str,
        token_ids: Sequence[int],
        snapshot: StateSnapshot,
        keep_on: Callable[[], bool],
        tiers: Collection[GuardedTier] | None = None,
        moment: int | None = None,
    ) -> int:
        """Put the blocks of `token_ids` that a tier lacks into it; returns the bytes given to all of them together.

        The chain's head goes in last, so that it is the last to be evicted: a tail is of no use without it. State
        handed over before its chain was quarantined is not saved; what is saved after that replaces what tiers hold.
        Waits for a network if one of `tiers` (all by default) is over one.
        """
        into = [tier for tier in (self.tiers if tiers is None else tiers) if tier.writable]
        spans = blocks_of(chain_seed(tenant, self.fingerprint), token_ids, self.block_size)
        root = self._root(tenant, token_ids)
        if not self._quarantine.admits(root, self.moment if moment is None else moment):
            return 0
        keys = [span.key for span in spans]
        held = {tier: self._sound_in(tier, root, keys) for tier in into}
        lacking = [span for span in reversed(spans) if any(span.key not in has for has in held.values())]
        for tier in held:
            tier.used(keys)  # or its head might have to leave for its tail
        written = 0
        with beside_the_model(snapshot.device):
            for piece in self._reader.pieces(lacking):
                if not keep_on():
                    break
                blocks = {s.key: self._codec.encode(s, token_ids[s.start : s.stop], snapshot) for s in piece}
                for tier, has in held.items():
                    mine: Mapping[BlockKey, Block] = {key: block for key, block in blocks.items() if key not in has}
                    if not tier.writable:
                        continue
                    tier.put_many(mine)
                    written += sum(map(len, mine.values()))
                    if tier.writable:  # or it may have refused them, and still have others under these keys
                        self._quarantine.vouch(tier.name, root, mine)
        for tier in held:
            tier.used(keys)
        return written

    def prefetch(self, match: PrefixMatch, token_ids: Sequence[int], keep_on: Callable[[], bool]) -> Counter[str]:
        """Copy what only farther tiers hold into the nearer ones; returns the tokens brought, by where they came from.

        Checked as a restore checks it. At most half of the nearest tier is spent on it, and the chain's head goes in
        last, so that it is the last to be evicted. `keep_on` is asked before each piece. Waits for a network where the
        match does.
        """
        brought: Counter[str] = Counter()
        for tier, spans in reversed(list(self._at_most_half(match).runs())):
            for piece in reversed(self._reader.pieces(spans) if tier is not self.tiers[0] else []):
                if not keep_on():
                    return brought
                brought[tier.name] += self._bring(tier, piece, token_ids)
        return brought

    def forget(
        self,
        tenant: str,
        token_ids: Sequence[int],
        keep_tokens: int = 0,
        tiers: Collection[GuardedTier] | None = None,
    ) -> None:
        """Remove every block of this chain from `tiers` (all by default), partial ones of earlier turns included.

        Blocks that hold only some of the first `keep_tokens` stay: other conversations go on from them. Of several
        tiers the farther ones must be rid of it first, or what they hold could still be brought nearer.
        """
        spans = every_block(chain_seed(tenant, self.fingerprint), token_ids, self.block_size)
        keys = [span.key for span in spans if span.stop > keep_tokens]
        with self._moving:
            for tier in reversed(list(self.tiers if tiers is None else tiers)):
                tier.remove_many(keys)

    def close(self) -> None:
        """Give up what is still asked for over a network."""
        for remote in self._remote.values():
            remote.close()

    def _find(self, tenant: str, token_ids: Sequence[int], holders: Holders) -> PrefixMatch:
        """What is in quarantine counts as not held."""
        root = self._root(tenant, token_ids)

        def trusted(keys: Sequence[BlockKey]) -> list[GuardedTier | None]:
            held = zip(keys, holders(keys), strict=True)
            return [tier if tier and self._quarantine.trusts(tier.name, root, key) else None for key, tier in held]

        return find_prefix(chain_seed(tenant, self.fingerprint), token_ids, self.block_size, trusted)

    def _root(self, tenant: str, token_ids: Sequence[int]) -> BlockKey | None:
        """The key of the first whole block; what is shorter has none, and cannot be told from others by it."""
        if len(token_ids) < self.block_size:
            return None
        return next_key(chain_seed(tenant, self.fingerprint), token_ids[: self.block_size])

    def _local_holders(self, keys: Sequence[BlockKey]) -> list[GuardedTier | None]:
        held: list[GuardedTier | None] = [None] * len(keys)
        for tier in reversed(self.local):
            held = [tier if has else other for has, other in zip(tier.contains(keys), held, strict=True)]
        return held

    def _sound_in(self, tier: GuardedTier, root: BlockKey | None, keys: Sequence[BlockKey]) -> set[BlockKey]:
        """Those of the keys that the tier holds, and that may be used from there."""
        held = (key for key, has in zip(keys, tier.contains(keys), strict=True) if has)
        return {key for key in held if self._quarantine.trusts(tier.name, root, key)}

    def _restore_run(
        self,
        tier: GuardedTier,
        spans: Sequence[BlockSpan],
        token_ids: Sequence[int],
        state: SequenceState,
        deadline: Deadline | None,
    ) -> BlockMiss | None:
        pieces = self._reader.pieces(spans)
        try:
            found = self._reader.read(tier, pieces, lambda: deadline.left(state.length) if deadline else math.inf)
            for piece, blocks in zip(pieces, found, strict=True):
                if (block_miss := self._append(tier, piece, blocks, token_ids, state)) is not None:
                    return block_miss
        except DeadlineExceeded:
            assert deadline is not None
            following = next(span for span in spans if span.stop > state.length)
            num_tokens = spans[-1].stop - state.length
            compute = deadline.compute_seconds(num_tokens, state.length) or 0.0
            self.policy.cut_off(tier.name, num_tokens, compute)
            return BlockMiss(MissReason.RECOMPUTE_FASTER, following.key, tier.name)
        return None

    def _append(
        self,
        tier: GuardedTier,
        piece: Piece,
        blocks: Mapping[BlockKey, Block],
        token_ids: Sequence[int],
        state: SequenceState,
    ) -> BlockMiss | None:
        """What was brought from afar stays in memory for the next turn; on disk it is saved after this one anyway."""
        good: dict[BlockKey, Block] = {}
        for span in piece:
            if span.key not in blocks:
                return self.why_missing(span.key)
            payload = self._reader.payload(tier, span, blocks[span.key], token_ids)
            if isinstance(payload, BlockMiss):
                return payload
            state.write(span.start, span.num_tokens, payload)
            state.length = span.stop
            good[span.key] = blocks[span.key]
        for nearer in self._nearer_than(tier):
            if nearer.medium == "memory":
                nearer.put_many(dict(reversed(good.items())))
        return None

    def _at_most_half(self, match: PrefixMatch) -> PrefixMatch:
        limit = (self.tiers[0].budget_bytes or 0) // 2 if self.tiers else 0
        count = sum(self._codec.layout.bytes_for(span.stop) <= limit for span in match.spans)
        return PrefixMatch(match.spans[:count], match.tiers[:count])

    def _bring(self, tier: GuardedTier, piece: Piece, token_ids: Sequence[int]) -> int:
        """Not while something is forgotten, or what was just deleted could come back to a nearer tier."""
        with self._moving:
            blocks = tier.get_many([span.key for span in piece])
            held = [span for span in piece if span.key in blocks]
            sound = [
                s for s in held if not isinstance(self._reader.payload(tier, s, blocks[s.key], token_ids), BlockMiss)
            ]
            for nearer in self._nearer_than(tier):
                nearer.put_many({span.key: blocks[span.key] for span in reversed(sound)})
        return sum(span.num_tokens for span in sound)

    def _nearer_than(self, tier: GuardedTier) -> Sequence[GuardedTier]:
        return self.tiers[: self.tiers.index(tier)]
