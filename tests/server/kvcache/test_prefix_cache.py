"""Saved state comes back as far as it is certain, and says why it ended there."""

import dataclasses
from pathlib import Path

import pytest
from tests.support.device import DEVICE
from tests.support.state import (
    BLOCK_SIZE,
    DIGEST,
    LAYOUT,
    Tally,
    always,
    cache_over,
    changed_fingerprint,
    contents,
    disk,
    filled_buffer,
    ram,
    token_ids,
)

from warmturn_server.engine_api import MissReason
from warmturn_server.kvcache import Fingerprint, KVBuffer, PrefixCache, Restored, Tier, TierUnavailable
from warmturn_server.kvcache.keys import blocks_of, chain_seed

LONGEST = 5 * BLOCK_SIZE + 1


@pytest.fixture(params=["ram", "disk"])
def tier(request: pytest.FixtureRequest, tmp_path: Path) -> Tier:
    return ram() if request.param == "ram" else disk(tmp_path)


def save(cache: PrefixCache, num_tokens: int, tenant: str = "") -> KVBuffer:
    buffer = filled_buffer(num_tokens)
    cache.save(tenant, token_ids(num_tokens), buffer.snapshot(), always)
    return buffer


def restore(cache: PrefixCache, ids: tuple[int, ...], tenant: str = "") -> tuple[KVBuffer, Restored]:
    buffer = KVBuffer(LAYOUT, DEVICE, len(ids))
    return buffer, cache.restore(cache.match(tenant, ids), ids, buffer)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Fingerprint)])
def test_each_fingerprint_field_changed_alone_is_a_miss(tmp_path: Path, field: str) -> None:
    save(cache_over(disk(tmp_path)), LONGEST)
    other = changed_fingerprint(field).digest()
    cache = cache_over(disk(tmp_path, digest=other), digest=other)
    match = cache.match("", token_ids(LONGEST))
    assert match.num_tokens == 0
    assert cache.why_missing(match.stopped_by).reason == MissReason.FINGERPRINT


def test_every_flipped_byte_of_a_file_is_a_miss_with_a_reason(tmp_path: Path) -> None:
    saved = save(cache_over(disk(tmp_path)), 2 * BLOCK_SIZE)
    second = blocks_of(chain_seed("", DIGEST), token_ids(8), BLOCK_SIZE)[1]
    path = next(tmp_path.rglob(f"{second.key.hex()}.kv"))
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        cache = cache_over(disk(tmp_path))
        restored, report = restore(cache, token_ids(9))
        assert (restored.length, report.reason) == (BLOCK_SIZE, MissReason.CORRUPT)
        assert contents(restored) == contents(saved, 0, BLOCK_SIZE)
        assert not path.exists(), "a corrupt block is not tried twice"


def test_a_torn_file_is_a_miss_at_every_length(tmp_path: Path) -> None:
    save(cache_over(disk(tmp_path)), BLOCK_SIZE)
    path = next(tmp_path.rglob("*.kv"))
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        restored, report = restore(cache_over(disk(tmp_path)), token_ids(9))
        assert (restored.length, report.reason) == (0, MissReason.CORRUPT)


def test_a_block_evicted_from_all_tiers_says_so(tmp_path: Path) -> None:
    cache = cache_over(ram(600), disk(tmp_path, 600))
    save(cache, LONGEST)
    match = cache.match("", token_ids(LONGEST))
    assert match.num_tokens < LONGEST
    assert cache.why_missing(match.stopped_by).reason == MissReason.EVICTED
    assert cache.why_missing(None).reason == MissReason.NOT_FOUND


def test_under_pressure_a_conversation_keeps_its_head() -> None:
    """A tail without its head is of no use to anybody."""
    cache = cache_over(ram(1400))
    saved = save(cache, LONGEST)
    restored, _ = restore(cache, token_ids(LONGEST))
    assert restored.length >= BLOCK_SIZE
    assert contents(restored) == contents(saved, 0, restored.length)


def test_a_conversation_that_goes_on_keeps_its_head_however_long_it_is(tmp_path: Path) -> None:
    """In every tier that it is saved to, though it was read from one of them only, and in pieces."""
    tiers = ram(), disk(tmp_path)
    cache = cache_over(*tiers)
    save(cache, 40 * BLOCK_SIZE)
    restore(cache, token_ids(40 * BLOCK_SIZE))
    save(cache, 50 * BLOCK_SIZE)
    keys = [span.key for span in cache.match("", token_ids(50 * BLOCK_SIZE)).spans]
    for tier in tiers:
        assert list(tier._index._sizes) == list(reversed(keys))


def test_a_conversation_that_goes_on_makes_others_leave_and_not_itself() -> None:
    """Though it was the first to be saved."""
    measure = ram()
    save(cache_over(measure), 10 * BLOCK_SIZE)
    room = ram(2 * measure.num_bytes)
    cache = cache_over(room)
    save(cache, 10 * BLOCK_SIZE)
    cache.save("", token_ids(10 * BLOCK_SIZE, first=1000), filled_buffer(10 * BLOCK_SIZE).snapshot(), always)
    assert room.num_bytes == room.budget_bytes
    save(cache, 15 * BLOCK_SIZE)
    assert cache.match("", token_ids(15 * BLOCK_SIZE)).num_tokens == 15 * BLOCK_SIZE


def test_what_disk_gave_is_in_ram_once_its_turn_is_saved(tmp_path: Path) -> None:
    save(cache_over(disk(tmp_path)), LONGEST)
    cache = cache_over(ram(), disk(tmp_path))
    restored, report = restore(cache, token_ids(LONGEST))
    assert report.tokens_by_tier == {"disk": LONGEST}
    cache.save("", token_ids(LONGEST), restored.snapshot(), always)
    assert restore(cache, token_ids(LONGEST))[1].tokens_by_tier == {"ram": LONGEST}


def test_one_conversation_can_lie_in_two_tiers(tmp_path: Path) -> None:
    fast, slow = ram(), disk(tmp_path)
    cache = cache_over(fast, slow)
    saved = save(cache, LONGEST)
    fast.remove_many([span.key for span in blocks_of(chain_seed("", DIGEST), token_ids(LONGEST), BLOCK_SIZE)[2:]])
    restored, report = restore(cache, token_ids(LONGEST))
    assert report.tokens_by_tier == {"ram": 2 * BLOCK_SIZE, "disk": LONGEST - 2 * BLOCK_SIZE}
    assert contents(restored) == contents(saved)


def test_a_conversation_that_is_forgotten_is_nowhere(tmp_path: Path) -> None:
    cache = cache_over(ram(), disk(tmp_path))
    for num_tokens in (3, 6, 14, LONGEST):
        save(cache, num_tokens)
    save(cache, LONGEST, tenant="other")
    cache.forget("", token_ids(LONGEST))
    assert cache.match("", token_ids(LONGEST)).num_tokens == 0
    assert cache.match("other", token_ids(LONGEST)).num_tokens == LONGEST
    others = len(blocks_of(chain_seed("other", DIGEST), token_ids(LONGEST), BLOCK_SIZE))
    assert len(list(tmp_path.rglob("*.kv"))) == others


@pytest.mark.parametrize("keep_tokens", range(LONGEST + 1))
def test_forgetting_leaves_what_others_share(tier: Tier, keep_tokens: int) -> None:
    cache = cache_over(tier)
    for num_tokens in range(1, LONGEST + 1):
        save(cache, num_tokens)
    cache.forget("", token_ids(LONGEST), keep_tokens)
    assert cache.match("", token_ids(LONGEST)).num_tokens == keep_tokens
    assert cache.match("", token_ids(keep_tokens)).num_tokens == keep_tokens


def test_a_tier_that_fails_is_a_reason_and_not_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tier, tally = disk(tmp_path), Tally()
    cache = cache_over(tier, tally=tally)
    save(cache, LONGEST)

    def fail(*_: object) -> None:
        raise TierUnavailable("pulled out")

    monkeypatch.setattr(tier, "get_many", fail)
    restored, report = restore(cache, token_ids(LONGEST))
    assert (restored.length, report.reason) == (0, MissReason.STORE_UNAVAILABLE)
    assert tally.failures == ["disk"]


def test_saving_stops_between_two_pieces_and_the_tail_is_written_first() -> None:
    tier, ids = ram(), token_ids(40 * BLOCK_SIZE)
    cache, answers = cache_over(tier), iter([True, False])
    cache.save("", ids, filled_buffer(len(ids)).snapshot(), lambda: next(answers))
    spans = blocks_of(chain_seed("", DIGEST), ids, BLOCK_SIZE)
    assert tier.contains([span.key for span in spans]) == [False] * 24 + [True] * 16


def test_a_restore_that_ended_early_says_nothing_about_speed() -> None:
    tier, ids = ram(), token_ids(LONGEST)
    cache = cache_over(tier)
    save(cache, LONGEST)
    match = cache.match("", ids)
    tier.remove_many([match.spans[1].key])
    assert cache.restore(match, ids, KVBuffer(LAYOUT, DEVICE, LONGEST)).tokens_by_tier == {"ram": BLOCK_SIZE}
    assert cache.policy.bandwidth["ram"].bytes_per_second is None
    restore(cache, ids)
    assert cache.policy.bandwidth["ram"].bytes_per_second is not None


def test_reading_a_block_does_not_change_it(tier: Tier) -> None:
    """A sequence that goes on in its own buffer must not write into the saved prefix."""
    cache = cache_over(tier)
    saved = save(cache, LONGEST)
    restored, _ = restore(cache, token_ids(LONGEST))
    for layer in range(len(LAYOUT.layers)):
        for part in restored.layer(layer):
            part.zero_()
    assert contents(restore(cache, token_ids(LONGEST))[0]) == contents(saved)
