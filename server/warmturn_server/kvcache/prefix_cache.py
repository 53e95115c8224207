"""Finds, brings back and keeps the saved state of token prefixes, over all tiers, the fastest first."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from ..engine_api.promise import PromiseRequest
from ..engine_api.report import MissReason
from .buffer import beside_the_model
from .keys import BlockKey, BlockSpan, blocks_of, chain_root, chain_seed, every_block
from .match import Holders, PrefixMatch, Restored, find_prefix
from .miss import BlockMiss
from .passing import PassingBlocks
from .promises.ledger import Promise
from .promises.nowhere import no_promises
from .promises.promises import Promises
from .quarantine import Quarantine
from .reader import BlockReader
from .restore_policy import NO_DEADLINE, Deadline, RestorePolicy
from .sealer import SealedCodec
from .state import SequenceState, StateSnapshot
from .tiers.guard import GuardedTier
from .tiers.remote import DeadlineExceeded
from .tiers.stack import TierStack
from .tiers.tier import Block

_MOST_DECLINED = 1024


class PrefixCache:
    """Saved state by token prefix. A cache may be slow or absent, never wrong: whatever is doubtful is a miss.

    Only methods that say so wait for a network.
    """

    def __init__(
        self,
        codec: SealedCodec,
        block_size: int,
        tiers: Iterable[GuardedTier],
        policy: RestorePolicy,
        *,
        drop_foreign: Callable[[], None] | None = None,
        passing: PassingBlocks | None = None,
        promises: Promises | None = None,
    ) -> None:
        """`passing`: which blocks may only stay for a while; `promises`: which are to stay for one. `drop_foreign`
        removes what is here of other models; None where there is nothing.
        """
        self.fingerprint = codec.fingerprint
        self.layout = codec.layout
        self.block_size = block_size
        self.tiers = TierStack(tiers)
        self.policy = policy
        self.passing = passing or PassingBlocks(ttl_seconds=math.inf)
        self.promises = promises or no_promises()
        self.reader = BlockReader(codec, block_size, self.tiers)
        self.codec = codec
        self._drop_foreign = drop_foreign
        self._quarantine = Quarantine()
        self._declined: OrderedDict[BlockKey, MissReason] = OrderedDict()

    def match(self, tenant: str, token_ids: Sequence[int]) -> PrefixMatch:
        """The longest prefix of `token_ids` saved on this machine."""
        return self._find(tenant, token_ids, self.tiers.local_holders)

    def match_everywhere(
        self, tenant: str, token_ids: Sequence[int], seconds_left: Callable[[], float] = lambda: math.inf
    ) -> PrefixMatch:
        """The same over all tiers. Waits for a network, but no longer than there is time left."""
        return self._find(tenant, token_ids, lambda keys: self.tiers.holders(keys, seconds_left))

    def why_missing(self, key: BlockKey | None) -> BlockMiss:
        """The most that is known about a block that no tier has; of several tiers the slowest is named."""
        if key in self._quarantine:
            return self._promised(BlockMiss(MissReason.CORRUPT, key))
        if key and (declined := self._declined.get(key)):
            return self._promised(BlockMiss(declined, key))
        never_had = BlockMiss(MissReason.FINGERPRINT if self._drop_foreign else MissReason.NOT_FOUND, key)
        return self._promised(self.tiers.why_lost(key) or never_had)

    def _promised(self, missed: BlockMiss) -> BlockMiss:
        return dataclasses.replace(missed, promise=self.promises.why_broken(missed.key))

    def restore(
        self, match: PrefixMatch, token_ids: Sequence[int], state: SequenceState, deadline: Deadline = NO_DEADLINE
    ) -> Restored:
        """Append the match to `state`, block by block, up to the first one that is not what it should be.

        `state` holds a prefix of the same tokens, and every span of the match reaches beyond it. It ends where it may
        be cut. Waits for a network where the match does, until the deadline.
        """
        restored, start = Restored(), state.length
        for tier, spans in match.runs():
            began, before = time.perf_counter(), state.length
            with beside_the_model(state.device):
                restored.block_miss = self._restore_run(tier, spans, token_ids, state, deadline)
            seconds, num_tokens = time.perf_counter() - began, state.length - before
            restored.add(tier.name, num_tokens, seconds)
            if restored.block_miss is not None:  # waiting for what never came says nothing about speed
                break
            self.policy.restored(tier.name, num_tokens, seconds)
        end = max(start, state.restore_points(state.length))
        restored.give_back(state.length - end)
        state.length = end
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

    def save(
        self,
        tenant: str,
        token_ids: Sequence[int],
        snapshot: StateSnapshot,
        keep_on: Callable[[], bool],
        tiers: Collection[GuardedTier] | None = None,
        moment: int | None = None,
        lasting: bool = True,
    ) -> int:
        """Put the blocks of `token_ids` that a tier lacks into it; returns the bytes given to all of them together.

        The chain's head goes in last, so that it is the last to be evicted: a tail is of no use without it. State
        handed over before its chain was quarantined is not saved; what is saved after that replaces what tiers hold.
        What is not `lasting` may stay for a while only, unless it is part of something that is.
        Waits for a network if one of `tiers` (all by default) is over one.
        """
        seed = chain_seed(tenant, self.fingerprint)
        root, spans = chain_root(seed, token_ids, self.block_size), blocks_of(seed, token_ids, self.block_size)
        if not self._quarantine.admits(root, self.moment if moment is None else moment):
            return 0
        keys = [span.key for span in spans]
        self.came(keys)
        into = [tier for tier in (self.tiers if tiers is None else tiers) if tier.writable]
        held = {tier: self._sound_in(tier, root, keys) for tier in into}
        lacking = [span for span in reversed(spans) if any(span.key not in has for has in held.values())]
        if not self.tiers.local or any(tier in self.tiers.local for tier in into):
            new = set(keys).difference(*held.values())
            self.passing.saved(keys, new, lasting=lasting)
        for tier in into:
            tier.used(keys)  # or its head might have to leave for its tail
        written = 0
        with beside_the_model(snapshot.device):
            for piece in self.reader.pieces(lacking):
                if not keep_on():
                    break
                blocks = {s.key: self.codec.encode(s, token_ids[s.start : s.stop], snapshot) for s in piece}
                for tier, has in held.items():
                    mine = {key: block for key, block in blocks.items() if key not in has}
                    written += self._put(tier, root, mine)
        for tier in into:
            tier.used(keys)
        return written

    def leave_first(self, tenant: str, token_ids: Sequence[int], keep_tokens: int) -> None:
        """No prompt is expected to have more than the first `keep_tokens` of these: what the tiers of this machine
        hold beyond makes room before all else."""
        keys = self.keys_of(tenant, token_ids, keep_tokens)
        for tier in self.tiers.local:
            tier.leave_first(keys)

    def forget(
        self, tenant: str, token_ids: Sequence[int], keep_tokens: int = 0, tiers: Collection[GuardedTier] | None = None
    ) -> None:
        """Remove every block of this chain from `tiers` (all by default), partial ones of earlier turns included.

        Blocks that hold only some of the first `keep_tokens` stay: other conversations go on from them. Of several
        tiers the slower ones must be rid of it first, or what they hold could still be prefetched.
        """
        spans = every_block(chain_seed(tenant, self.fingerprint), token_ids, self.block_size)
        self.forget_blocks([span.key for span in spans if span.stop > keep_tokens], tiers)

    def forget_blocks(self, keys: Collection[BlockKey], tiers: Collection[GuardedTier] | None = None) -> None:
        """Remove blocks of something that is deleted, and all state of other models, which may have been of it too.

        That they stay is promised to nobody any more.
        """
        self.promises.forget(keys)
        self.tiers.remove(keys, list(self.tiers) if tiers is None else tiers)
        if self._drop_foreign:
            self._drop_foreign()

    def promise(self, asked: PromiseRequest) -> None:
        """Keep the blocks that these stretches of a prompt are saved as. Raises `PromiseRefused`."""
        promise = Promise(asked.name, asked.owner, max(stretch.num_tokens for stretch in asked.stretches))
        seed, moment = chain_seed(asked.tenant, self.fingerprint), time.time()
        for stretch in asked.stretches:
            for span in blocks_of(seed, asked.token_ids[: stretch.num_tokens], self.block_size):
                promise.until[span.key] = max(promise.until.get(span.key, 0.0), moment + stretch.seconds)
                promise.sizes[span.key] = self.codec.num_bytes(span.num_tokens)
        self.promises.make(promise)

    def due(self, keys: Collection[BlockKey] | None = None) -> list[BlockKey]:
        """Blocks whose while is over, of `keys` if given. What is promised stays for longer."""
        due = self.passing.due() if keys is None else self.passing.still_due(keys)
        promised = self.promises.kept(due)
        return [key for key in due if key not in promised]

    def keys_of(self, tenant: str, token_ids: Sequence[int], keep_tokens: int = 0) -> list[BlockKey]:
        """Of the blocks that a turn which saw these tokens leaves behind, beyond `keep_tokens`.

        The last of them may have been chosen and never computed, or never shown: where it ended is not known exactly.
        """
        spans = every_block(chain_seed(tenant, self.fingerprint), token_ids, self.block_size)
        end = max(keep_tokens, len(token_ids) - 2 * self.block_size)
        return [s.key for s in spans if s.stop > end or (s.stop > keep_tokens and s.num_tokens == self.block_size)]

    def holds_any(self, tenant: str, token_ids: Sequence[int], keys: Collection[BlockKey]) -> bool:
        """Whether state of these tokens would be saved under one of `keys`."""
        return any(
            span.key in keys for span in blocks_of(chain_seed(tenant, self.fingerprint), token_ids, self.block_size)
        )

    @property
    def moment(self) -> int:
        """Grows with each quarantine; to be noted when state is handed over for saving."""
        return self._quarantine.moment

    def decline(self, key: BlockKey, reason: MissReason) -> None:
        """Somebody brought this block, and it was not taken: who misses it is told so. In memory, and not for ever."""
        self._declined[key] = reason
        if len(self._declined) > _MOST_DECLINED:
            self._declined.popitem(last=False)

    def came(self, keys: Iterable[BlockKey]) -> None:
        """They are here: if they go again, it is not for what was declined earlier."""
        for key in keys:
            self._declined.pop(key, None)

    def is_distrusted(self, tenant: str, token_ids: Sequence[int]) -> bool:
        """Whether state of this chain was found wrong."""
        return chain_root(chain_seed(tenant, self.fingerprint), token_ids, self.block_size) in self._quarantine

    def quarantine(self, tenant: str, token_ids: Sequence[int]) -> int:
        """Trust nothing of this chain any more; the number of its blocks. Returns at once: `forget` removes them."""
        seed = chain_seed(tenant, self.fingerprint)
        root = chain_root(seed, token_ids, self.block_size)
        if root is not None:
            self._quarantine.distrust(root)
        self.promises.lost([span.key for span in every_block(seed, token_ids, self.block_size)], "corrupt")
        return math.ceil(len(token_ids) / self.block_size)

    def close(self) -> None:
        """Give up what is still asked for."""
        self.reader.close()
        self.tiers.close()

    def _find(self, tenant: str, token_ids: Sequence[int], holders: Holders) -> PrefixMatch:
        """What is in quarantine counts as not held."""
        seed = chain_seed(tenant, self.fingerprint)
        root = chain_root(seed, token_ids, self.block_size)

        def trusted(keys: Sequence[BlockKey]) -> list[GuardedTier | None]:
            held = zip(keys, holders(keys), strict=True)
            return [tier if tier and self._quarantine.trusts(tier.name, root, key) else None for key, tier in held]

        return find_prefix(seed, token_ids, self.block_size, trusted)

    def _restore_run(
        self,
        tier: GuardedTier,
        spans: Sequence[BlockSpan],
        token_ids: Sequence[int],
        state: SequenceState,
        deadline: Deadline,
    ) -> BlockMiss | None:
        try:
            for span, payload in self.reader.payloads(tier, spans, token_ids, lambda: deadline.left(state.length)):
                if payload is None:
                    return self.why_missing(span.key)
                if isinstance(payload, BlockMiss):
                    self.tiers.discard(tier, span.key)
                    return self._promised(payload)
                state.write(span.start, span.num_tokens, payload)
                state.length = span.stop
        except DeadlineExceeded:
            following = next(span for span in spans if span.stop > state.length)
            num_tokens = spans[-1].stop - state.length
            self.policy.cut_off(tier.name, num_tokens, deadline.compute_seconds(num_tokens, state.length) or 0.0)
            return BlockMiss(MissReason.RECOMPUTE_FASTER, following.key, tier.name)
        return None

    def _put(self, tier: GuardedTier, root: BlockKey | None, blocks: Mapping[BlockKey, Block]) -> int:
        if not tier.writable:
            return 0
        tier.put_many(blocks)
        if tier.writable:  # or it may have refused them, and still have others under these keys
            self._quarantine.vouch(tier.name, root, blocks)
        return sum(map(len, blocks.values()))

    def _sound_in(self, tier: GuardedTier, root: BlockKey | None, keys: Sequence[BlockKey]) -> set[BlockKey]:
        """Those of the keys that the tier holds, and that may be used from there."""
        held = (key for key, has in zip(keys, tier.contains(keys), strict=True) if has)
        return {key for key in held if self._quarantine.trusts(tier.name, root, key)}
