"""Saved state that leaves one server's tiers and comes into another's: the same bits, or a miss."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.device import DEVICE
from tests.support.state import (
    BLOCK_SIZE,
    DIGEST,
    LAYOUT,
    NO_SEALER,
    Tally,
    always,
    cache_over,
    changed_fingerprint,
    codec_of,
    contents,
    disk,
    filled_buffer,
    ram,
    token_ids,
)
from tests.support.xor_sealer import XorSealer

from warmturn_server.engine_api import MissReason, PromiseRequest, Stretch
from warmturn_server.kvcache import (
    BlockSealer,
    Carrier,
    GuardedTier,
    KVBuffer,
    Ledger,
    Limits,
    PassingBlocks,
    PrefixCache,
    Promises,
    RestorePolicy,
    SealedCodec,
    Tier,
)
from warmturn_server.kvcache.carrier import Arriving
from warmturn_server.metrics import Metrics

COUNT = 3 * BLOCK_SIZE + 2
IDS = token_ids(COUNT)
LENGTHS = [BLOCK_SIZE] * 3 + [2]


class Time:
    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def cache_at(
    folder: Path, now: Time, *tiers: Tier, sealer: BlockSealer = NO_SEALER, promises: Promises | None = None
) -> PrefixCache:
    guarded = [GuardedTier(tier, Tally()) for tier in tiers or (ram(), disk(folder))]
    policy = RestorePolicy(LAYOUT, [tier.name for tier in guarded])
    passing = PassingBlocks(10, folder / "passing", now)
    codec = SealedCodec(codec_of(), sealer)
    return PrefixCache(codec, BLOCK_SIZE, guarded, policy, passing=passing, promises=promises)


def carrier(cache: PrefixCache) -> Carrier:
    return Carrier(cache, lambda: None)


def saved(tenant: str = "", sealer: BlockSealer = NO_SEALER, seed: int = 0) -> PrefixCache:
    cache = cache_over(ram(), sealer=sealer)
    cache.save(tenant, IDS, filled_buffer(COUNT, seed=seed).snapshot(), always)
    return cache


def blocks_of(cache: PrefixCache, tenant: str = "") -> list[bytes]:
    leaving = carrier(cache).leaving(tenant, IDS)
    assert list(leaving.lengths) == LENGTHS
    return [block for number in range(4) if (block := leaving.read(number)) is not None]


def arriving(cache: PrefixCache, tenant: str = "") -> Arriving:
    found = carrier(cache).arriving(tenant, IDS, LENGTHS)
    assert found is not None
    return found


def bring(state: Arriving, blocks: Sequence[bytes]) -> None:
    for number, block in enumerate(blocks):
        assert state.take(number, block) is None


def restored(cache: PrefixCache, tenant: str = "") -> KVBuffer:
    buffer = KVBuffer(LAYOUT, DEVICE, COUNT)
    cache.restore(cache.match(tenant, IDS), IDS, buffer)
    return buffer


@pytest.mark.parametrize("here", [NO_SEALER, XorSealer(3)])
@pytest.mark.parametrize("there", [NO_SEALER, XorSealer(5)])
def test_it_comes_as_it_was_to_another_tenant_and_behind_another_seal(
    tmp_path: Path, here: BlockSealer, there: BlockSealer
) -> None:
    cache = cache_at(tmp_path, Time(), sealer=there)
    state = arriving(cache, "bob")
    bring(state, blocks_of(saved("alice", here), "alice"))
    assert state.settle() == COUNT
    assert contents(restored(cache, "bob")) == contents(filled_buffer(COUNT))
    assert cache.match("alice", IDS).num_tokens == 0


def test_until_it_settles_it_only_stays_for_a_while(tmp_path: Path) -> None:
    now = Time()
    cache = cache_at(tmp_path, now)
    bring(arriving(cache), blocks_of(saved()))
    now.seconds += 10_000
    assert len(cache_at(tmp_path, now).passing.due()) == 4, "a server that comes after a kill knows it, too"
    cache.tiers.remove(cache.passing.due(), list(cache.tiers))
    assert cache.match("", IDS).num_tokens == 0


def test_who_asks_what_is_lacking_still_goes_on_with_it(tmp_path: Path) -> None:
    now = Time()
    cache = cache_at(tmp_path, now)
    bring(arriving(cache), blocks_of(saved())[:2])
    now.seconds += 500
    assert arriving(cache).lacking() == [2, 3]
    now.seconds += 500
    assert cache.passing.due() == []
    now.seconds += 500
    assert len(cache.passing.due()) == 2


def test_settled_it_stays(tmp_path: Path) -> None:
    now = Time()
    cache = cache_at(tmp_path, now)
    state = arriving(cache)
    bring(state, blocks_of(saved()))
    state.settle()
    now.seconds += 10_000
    assert cache.passing.due() == []
    assert cache.match("", IDS).num_tokens == COUNT


@pytest.mark.parametrize("lasting", [True, False])
def test_abandoned_it_is_gone_but_for_what_was_here_before(tmp_path: Path, lasting: bool) -> None:
    cache = cache_at(tmp_path, Time())
    cache.save("", IDS[: 2 * BLOCK_SIZE], filled_buffer(COUNT).snapshot(), always, lasting=lasting)
    state = arriving(cache)
    assert state.lacking() == [2, 3]
    bring(state, blocks_of(saved()))
    state.abandon()
    assert cache.match("", IDS).num_tokens == 2 * BLOCK_SIZE


@pytest.mark.parametrize("is_first", [True, False])
def test_what_is_promised_stays_though_nothing_comes_of_an_import_of_it(tmp_path: Path, is_first: bool) -> None:
    """Of a prewarmed prompt, which stays for a while only, too."""
    tier, prompt = disk(tmp_path), tuple(IDS[: 2 * BLOCK_SIZE])
    promises = Promises(tier, Ledger(None), Limits(2**20, 1_000), Metrics().promises)
    tier.lost = promises.lost
    cache = cache_at(tmp_path, Time(), tier, promises=promises)

    def prewarm() -> None:
        cache.promise(PromiseRequest("a", "", prompt, (Stretch(len(prompt), 60),)))
        cache.save("", prompt, filled_buffer(COUNT).snapshot(), always, lasting=False)
        assert promises.settle("a") is not None

    state = arriving(cache)
    if is_first:
        prewarm()
    bring(state, blocks_of(saved()))
    if not is_first:
        prewarm()
    state.abandon()
    told = promises.told("a")
    assert told is not None and told.is_kept
    assert cache.match("", IDS).num_tokens == len(prompt)
    assert cache.why_missing(cache.match("", IDS).stopped_by).promise is None


def test_what_is_here_is_not_replaced(tmp_path: Path) -> None:
    cache = cache_at(tmp_path, Time())
    cache.save("", IDS, filled_buffer(COUNT, seed=1).snapshot(), always)
    bring(arriving(cache), blocks_of(saved(seed=2)))
    assert contents(restored(cache)) == contents(filled_buffer(COUNT, seed=1))


def test_what_lies_behind_a_gap_is_of_no_use_and_goes(tmp_path: Path) -> None:
    cache = cache_at(tmp_path, Time())
    state, blocks = arriving(cache), blocks_of(saved())
    for number in (0, 2, 3):
        assert state.take(number, blocks[number]) is None
    assert state.settle() == BLOCK_SIZE
    assert [tier.num_blocks for tier in cache.tiers] == [0, 1]


def test_a_damaged_foreign_or_other_block_is_not_taken(tmp_path: Path) -> None:
    state, blocks = arriving(cache_at(tmp_path, Time())), blocks_of(saved())
    damaged = bytearray(blocks[0])
    damaged[-20] ^= 1
    assert state.take(0, bytes(damaged)) is MissReason.CORRUPT
    assert state.take(1, blocks[0]) is MissReason.CORRUPT
    assert state.take(0, b"") is MissReason.CORRUPT
    other = cache_over(ram(), digest=changed_fingerprint("weights").digest())
    other.save("", IDS, filled_buffer(COUNT).snapshot(), always)
    assert state.take(0, blocks_of(other)[0]) is MissReason.FINGERPRINT
    assert list(state.lacking()) == [0, 1, 2, 3]


def test_no_more_is_taken_than_half_of_a_tier(tmp_path: Path) -> None:
    block_bytes = len(blocks_of(saved())[0])
    cache = cache_at(tmp_path, Time(), ram(5 * block_bytes))
    state = arriving(cache)
    assert list(state.lacking()) == [0, 1]
    bring(state, blocks_of(saved()))
    assert state.settle() == 2 * BLOCK_SIZE


@pytest.mark.parametrize(("own", "taken"), [(False, 2), (True, 3)])
def test_where_much_is_promised_its_first_blocks_do_not_make_room_for_its_last(
    tmp_path: Path, own: bool, taken: int
) -> None:
    """Four of the six blocks that the disk has room for; what is promised of its own is there already."""
    tier = disk(tmp_path, 6 * len(blocks_of(saved())[0]))
    promises = Promises(tier, Ledger(None), Limits(2**20, 1_000), Metrics().promises)
    tier.lost = promises.lost
    cache = cache_at(tmp_path, Time(), tier, promises=promises)
    other = (*IDS[: BLOCK_SIZE * own], *token_ids(4 * BLOCK_SIZE, first=500))[: 4 * BLOCK_SIZE]
    cache.promise(PromiseRequest("a", "", other, (Stretch(len(other), 60),)))
    cache.save("", other, filled_buffer(len(other)).snapshot(), always)
    assert promises.settle("a") is not None
    state = arriving(cache)
    assert len(state.lacking()) + own == taken
    bring(state, blocks_of(saved()))
    assert state.settle() == taken * BLOCK_SIZE
    told = promises.told("a")
    assert told is not None and told.is_kept


def test_a_small_tier_takes_no_more_than_half_beside_a_large_one(tmp_path: Path) -> None:
    small, large = disk(tmp_path / "small", 5 * len(blocks_of(saved())[0])), disk(tmp_path / "large")
    state = arriving(cache_at(tmp_path, Time(), small, large))
    bring(state, blocks_of(saved()))
    assert state.settle() == COUNT
    assert (small.num_blocks, large.num_blocks) == (2, 4)


@pytest.mark.parametrize("lengths", [[3, 4], [4, 4, 3, 1], [5], [4, 4, 4, 4]], ids=str)
def test_lengths_that_no_blocks_have_are_refused(tmp_path: Path, lengths: list[int]) -> None:
    assert carrier(cache_at(tmp_path, Time())).arriving("", IDS, lengths) is None


def test_what_is_in_quarantine_is_not_brought_back(tmp_path: Path) -> None:
    cache = cache_at(tmp_path, Time())
    cache.quarantine("", IDS)
    state = arriving(cache)
    assert state.lacking() == []
    bring(state, blocks_of(saved()))
    assert [tier.num_blocks for tier in cache.tiers] == [0, 0]


def test_who_misses_what_was_declined_is_told_why() -> None:
    cache = cache_over(ram())
    carrier(cache).decline("", IDS, BLOCK_SIZE, MissReason.FINGERPRINT)
    cache.save("", IDS[:BLOCK_SIZE], filled_buffer(COUNT).snapshot(), always)
    assert cache.why_missing(cache.match("", IDS).stopped_by).reason is MissReason.FINGERPRINT
    assert cache.why_missing(cache.match("bob", IDS).stopped_by).reason is MissReason.NOT_FOUND


@pytest.mark.parametrize("is_brought", [True, False])
def test_what_was_declined_once_and_came_later_is_missed_for_other_reasons(tmp_path: Path, is_brought: bool) -> None:
    cache = cache_at(tmp_path, Time())
    carrier(cache).decline("", IDS, BLOCK_SIZE, MissReason.FINGERPRINT)
    if is_brought:
        state = arriving(cache)
        bring(state, blocks_of(saved()))
        state.settle()
    else:
        cache.save("", IDS, filled_buffer(COUNT).snapshot(), always)
    span = cache.match("", IDS).spans[1]
    cache.tiers.remove([span.key], list(cache.tiers))
    assert cache.why_missing(span.key).reason is MissReason.NOT_FOUND


def test_a_block_that_left_or_was_damaged_meanwhile_is_none(tmp_path: Path) -> None:
    cache = cache_over(disk(tmp_path))
    cache.save("", IDS, filled_buffer(COUNT).snapshot(), always)
    leaving = carrier(cache).leaving("", IDS)
    first, second, *_ = [next(tmp_path.rglob(f"{span.key.hex()}.kv")) for span in cache.match("", IDS).spans]
    first.write_bytes(first.read_bytes()[:-1])
    second.unlink()
    assert (leaving.read(0), leaving.read(1)) == (None, None)
    assert leaving.read(2) is not None
    assert carrier(cache).fingerprint == DIGEST.hex()
