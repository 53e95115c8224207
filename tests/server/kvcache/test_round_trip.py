"""What is saved comes back bit for bit and no further: in every tier, sealed or not, for every kind of state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.device import DEVICE
from tests.support.recurrent import RecurrentLayout, RecurrentState
from tests.support.state import (
    BLOCK_SIZE,
    LAYOUT,
    NO_SEALER,
    always,
    cache_over,
    disk,
    filled_buffer,
    ram,
    redis_tier,
    token_ids,
)
from tests.support.xor_sealer import XorSealer

from warmturn_server.kvcache import BlockSealer, KVBuffer, PrefixCache, Restored, SequenceState, StateLayout, Tier

LONGEST = 5 * BLOCK_SIZE + 1


@dataclass(frozen=True)
class Kind:
    """A kind of state."""

    layout: StateLayout
    empty: Callable[[], SequenceState]
    computed: Callable[[int], SequenceState]


def recurrent(num_tokens: int) -> RecurrentState:
    state = RecurrentState()
    state.compute(num_tokens)
    return state


KV = Kind(LAYOUT, lambda: KVBuffer(LAYOUT, DEVICE, LONGEST), filled_buffer)
RECURRENT = Kind(RecurrentLayout(), RecurrentState, recurrent)
XOR = XorSealer(0x5A)


@dataclass(frozen=True)
class Place:
    """A cache over one tier, for one kind of state."""

    kind: Kind
    tier: Tier
    cache: PrefixCache

    def save(self, num_tokens: int, tenant: str = "") -> SequenceState:
        state = self.kind.computed(num_tokens)
        self.cache.save(tenant, token_ids(num_tokens), state.snapshot(), always)
        return state

    def restore(self, ids: tuple[int, ...], tenant: str = "") -> tuple[SequenceState, Restored]:
        return self.restore_beyond(self.kind.empty(), ids, tenant)

    def restore_beyond(
        self, state: SequenceState, ids: tuple[int, ...], tenant: str = ""
    ) -> tuple[SequenceState, Restored]:
        state.reserve(len(ids))
        match = self.cache.match_everywhere(tenant, ids)
        return state, self.cache.restore(match.beyond(state.length), ids, state)

    def found(self, ids: tuple[int, ...], tenant: str = "") -> int:
        return self.cache.match_everywhere(tenant, ids).num_tokens

    def bits(self, state: SequenceState, num_tokens: int) -> bytes:
        """Of the state of the first tokens."""
        payload = bytearray(self.kind.layout.bytes_for(num_tokens))
        if num_tokens:
            state.snapshot().read_into(0, num_tokens, memoryview(payload))
        return bytes(payload)


@pytest.fixture(
    params=[
        ("ram", NO_SEALER, KV),
        ("disk", NO_SEALER, KV),
        ("redis", NO_SEALER, KV),
        ("ram", XOR, KV),
        ("disk", XOR, KV),
        ("redis", XOR, KV),
        ("ram", NO_SEALER, RECURRENT),
        ("disk", XOR, RECURRENT),
    ],
    ids=["ram", "disk", "redis", "ram-sealed", "disk-sealed", "redis-sealed", "ram-recurrent", "disk-sealed-recurrent"],
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    name, sealer, kind = request.param
    yield from open_place(request, tmp_path, name, sealer, kind)


def open_place(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, sealer: BlockSealer, kind: Kind
) -> Iterator[Place]:
    """Over Redis with a namespace of the test's own."""
    if name == "redis":
        tier: Tier = redis_tier(request.getfixturevalue("redis_url"), secret=str(tmp_path).encode())
    else:
        tier = ram() if name == "ram" else disk(tmp_path)
    cache = cache_over(tier, layout=kind.layout, sealer=sealer)
    yield Place(kind, tier, cache)
    cache.close()


@pytest.mark.parametrize("num_tokens", range(1, LONGEST + 1))
def test_every_length_comes_back_whole_and_bit_for_bit(place: Place, num_tokens: int) -> None:
    saved = place.save(num_tokens)
    restored, report = place.restore(token_ids(num_tokens + 3))
    assert restored.length == saved.restore_points(num_tokens)
    assert place.bits(restored, restored.length) == place.bits(saved, restored.length)
    assert report.tokens_by_tier == {place.tier.name: restored.length}
    assert report.reason is None


@pytest.mark.parametrize("common", range(LONGEST))
def test_a_branch_gets_the_whole_blocks_that_it_shares(place: Place, common: int) -> None:
    saved = place.save(LONGEST)
    restored, _ = place.restore(token_ids(LONGEST)[:common] + token_ids(10, first=900))
    assert restored.length == saved.restore_points(common - common % BLOCK_SIZE)
    assert place.bits(restored, restored.length) == place.bits(saved, restored.length)


@pytest.mark.parametrize("asked", range(1, LONGEST))
def test_a_prompt_shorter_than_what_is_saved_gets_no_more_than_its_own(place: Place, asked: int) -> None:
    place.save(LONGEST)
    restored, _ = place.restore(token_ids(asked))
    assert restored.length <= asked


def test_turns_saved_one_after_the_other_are_found_at_each_end(place: Place) -> None:
    whole = place.kind.computed(LONGEST)
    for end in (3, 5, 6, 11, LONGEST):
        place.cache.save("", token_ids(end), whole.snapshot(), always)
    for end in (3, 5, 6, 11, LONGEST):
        ids = (*token_ids(end), 7, 7, 7, 7, 7)
        assert place.found(ids) == end
        restored, _ = place.restore(ids)
        assert restored.length == whole.restore_points(end)
        assert place.bits(restored, restored.length) == place.bits(whole, restored.length)


def test_another_tenant_finds_nothing(place: Place) -> None:
    place.save(LONGEST, tenant="anna")
    assert [place.found(token_ids(LONGEST), tenant) for tenant in ("bob", "", "anna")] == [0, 0, LONGEST]


def test_a_restore_goes_on_where_the_state_ends(place: Place) -> None:
    saved = place.save(LONGEST)
    for resident in {saved.restore_points(length) for length in range(LONGEST)}:
        state = place.kind.empty()
        state.copy_prefix(saved, resident)
        _, report = place.restore_beyond(state, token_ids(LONGEST))
        assert state.length == saved.restore_points(LONGEST)
        assert place.bits(state, state.length) == place.bits(saved, state.length)
        assert report.tokens_by_tier == {place.tier.name: state.length - resident}


def test_a_state_that_holds_more_than_can_be_brought_keeps_it(place: Place) -> None:
    place.save(2 * BLOCK_SIZE)
    state = place.kind.computed(2 * BLOCK_SIZE + 1)
    _, report = place.restore_beyond(state, token_ids(LONGEST))
    assert state.length == 2 * BLOCK_SIZE + 1
    assert sum(report.tokens_by_tier.values()) == 0


def test_what_breaks_off_ends_where_the_state_may_be_cut(place: Place) -> None:
    saved = place.save(LONGEST)
    last = place.cache.match_everywhere("", token_ids(LONGEST)).spans[-1]
    place.tier.put_many({last.key: b"rubbish"})
    restored, report = place.restore(token_ids(LONGEST))
    assert restored.length == saved.restore_points(last.start)
    assert report.tokens_by_tier == {place.tier.name: restored.length}
    assert report.reason == "corrupt"
    assert place.bits(restored, restored.length) == place.bits(saved, restored.length)
    assert place.found(token_ids(LONGEST)) == last.start, "a corrupt block is not tried twice"


def test_saving_again_writes_only_what_is_new(place: Place) -> None:
    whole = place.kind.computed(LONGEST)
    first = place.cache.save("", token_ids(8), whole.snapshot(), always)
    assert first > 0
    assert place.cache.save("", token_ids(8), whole.snapshot(), always) == 0
    assert 0 < place.cache.save("", token_ids(12), whole.snapshot(), always) < first


def test_forgotten_is_nowhere(place: Place) -> None:
    for num_tokens in (3, 6, LONGEST):
        place.save(num_tokens)
    place.save(LONGEST, tenant="other")
    place.cache.forget("", token_ids(LONGEST))
    assert [place.found(token_ids(LONGEST), tenant) for tenant in ("", "other")] == [0, LONGEST]
