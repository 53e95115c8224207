"""Idle buffers, as others see them than the engine's thread."""

import time
from typing import Any

import numpy as np
import pytest
from tests.server.engine.conftest import StartEngine
from tests.support.device import DEVICE
from tests.support.state import LAYOUT
from tests.support.waiting import wait_until

from warmturn_server.engine.kv_pool import IdleBuffer, KVPool
from warmturn_server.engine_api import GenerationRequest, SamplingParams
from warmturn_server.kvcache import KVBuffer, PrefixCache, Restored
from warmturn_server.kvcache.populate import is_possible


def test_the_bytes_can_be_asked_for_while_buffers_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `/metrics` does; here the change comes at the worst moment, in the middle of the sum."""
    pool = KVPool(LAYOUT, DEVICE, 2**30)
    for number in range(3):
        ids = np.asarray([number], dtype=np.int64)
        pool.keep(IdleBuffer("", ids, KVBuffer(LAYOUT, DEVICE, 64)))
    whole = pool.idle_bytes

    def size_and_clear(buffer: KVBuffer) -> int:
        pool.clear()
        return buffer.capacity * LAYOUT.bytes_per_token

    monkeypatch.setattr(KVBuffer, "num_bytes", property(size_and_clear))
    assert pool.idle_bytes == whole > 0
    assert pool.idle_bytes == 0


HELD = (("b", (1, 2, 3, 4)), ("a", (1, 2, 3, 4, 5)), ("a", (1, 2, 8)), ("a", (1, 2, 3)), ("a", (1, 2)), ("a", (7,)))


@pytest.fixture
def pool() -> KVPool:
    """The longer ones first: one that goes on from another takes its place."""
    pool = KVPool(LAYOUT, DEVICE, 2**30)
    for tenant, ids in HELD:
        pool.keep(IdleBuffer(tenant, np.asarray(ids, dtype=np.int64), KVBuffer(LAYOUT, DEVICE, 64)))
    return pool


def held(pool: KVPool) -> set[tuple[str, tuple[int, ...]]]:
    return {(resident.tenant, tuple(resident.token_ids.tolist())) for resident in pool._idle.values()}


def test_what_is_forgotten_goes_with_all_that_goes_on_from_it(pool: KVPool) -> None:
    pool.forget("a", (1, 2, 3, 4))
    assert held(pool) == {HELD[0], HELD[2], HELD[5]}


def test_what_others_share_is_not_forgotten(pool: KVPool) -> None:
    pool.forget("a", (1, 2, 3, 4), keep_tokens=2)
    assert held(pool) == {HELD[0], HELD[2], HELD[4], HELD[5]}


def test_all_that_may_rest_on_bad_state_is_dropped_and_named(pool: KVPool) -> None:
    dropped = pool.drop_related("a", (1, 2, 3, 4))
    assert [("a", tuple(ids.tolist())) for ids in dropped] == list(HELD[1:5])
    assert held(pool) == {HELD[0], HELD[5]}


def test_the_last_used_buffers_get_room_for_the_next_turn_as_far_as_the_budget_goes() -> None:
    """A full buffer of 128 tokens is to have 32 more, so 192 with what allocations are rounded up to."""
    bytes_per_token = LAYOUT.bytes_per_token
    pool = KVPool(LAYOUT, DEVICE, budget_bytes=(3 * 128 + 2 * 64) * bytes_per_token)
    buffers = [KVBuffer(LAYOUT, DEVICE, 128) for _ in range(3)]
    for number, buffer in enumerate(buffers):
        buffer.length = 128
        buffer.layer(0)[0][:, :128] = number
        pool.keep(IdleBuffer("", np.full(128, number, dtype=np.int64), buffer))
    assert [pool.make_room_ahead() for _ in range(3)] == [True, True, False]
    assert [buffer.capacity for buffer in buffers] == [128, 192, 192]
    assert len(pool) == 3
    assert pool.idle_bytes == pool.budget_bytes
    for number, buffer in enumerate(buffers):
        assert (buffer.layer(0)[0][:, :128] == number).all()


def test_a_buffer_with_room_stays_as_it_is() -> None:
    pool = KVPool(LAYOUT, DEVICE, 2**30)
    buffer = KVBuffer(LAYOUT, DEVICE, 192)
    buffer.length = 128
    pool.keep(IdleBuffer("", np.zeros(128, dtype=np.int64), buffer))
    assert not pool.make_room_ahead()
    assert buffer.capacity == 192


def test_who_was_not_used_of_late_keeps_no_room() -> None:
    """Ten that grew for replies that ended early: the two used longest ago give back what they do not need."""
    pool, buffers = KVPool(LAYOUT, DEVICE, 2**30), [KVBuffer(LAYOUT, DEVICE, 192) for _ in range(10)]
    for number, buffer in enumerate(buffers):
        buffer.length = 100
        for part in buffer.layer(0):
            part[:, :100] = number
        pool.keep(IdleBuffer("", np.full(100, number, dtype=np.int64), buffer))
    assert [pool.make_room_ahead() for _ in range(3)] == [True, True, False]
    assert [buffer.capacity for buffer in buffers] == [128] * 2 + [192] * 8
    for number, buffer in enumerate(buffers):
        assert (buffer.layer(0)[0][:, :100] == number).all()


def test_a_turn_of_usual_length_copies_nothing(start_engine: StartEngine) -> None:
    engine = start_engine()
    one_token = SamplingParams(max_tokens=1, temperature=0.0)
    prompt = tuple(5 + number % 100 for number in range(255))
    engine.generate(GenerationRequest(prompt, one_token))
    engine.flush()
    (before,) = engine._memory.pool._idle.values()
    wait_until(lambda: before.buffer.capacity >= 285, "no room is made ahead")
    place = before.buffer.layer(0)[0].data_ptr()
    engine.generate(GenerationRequest((*prompt, *range(5, 35)), one_token))
    engine.flush()
    (after,) = engine._memory.pool._idle.values()
    assert after.buffer.length == 285
    assert after.buffer.layer(0)[0].data_ptr() == place


@pytest.mark.usefixtures("restoring_always_wins")
def test_buffers_do_not_grow_while_somebody_waits_for_a_restore(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start_engine()
    somebody = list[bool]()
    scheduler = engine._loop._scheduler
    restore = PrefixCache.restore

    def slowly(*given: Any) -> Restored:
        time.sleep(0.1)
        return restore(*given)

    monkeypatch.setattr(PrefixCache, "restore", slowly)
    monkeypatch.setattr(
        KVPool, "make_room_ahead", lambda _: somebody.append(bool(scheduler.running or scheduler.waiting))
    )
    asked = GenerationRequest(tuple(range(5, 105)), SamplingParams(max_tokens=1, temperature=0.0))
    engine.generate(asked)
    engine.flush()
    engine.evict_idle()
    assert engine.generate(asked).report.restore_ms
    engine.flush()
    assert somebody and not any(somebody)


def test_to_ask_for_the_best_buffer_changes_nothing(pool: KVPool) -> None:
    """Who uses it says so: then it is the last to leave."""
    before = list(pool._idle)
    idle, longest = pool.best("a", np.asarray((1, 2, 3, 4), dtype=np.int64))
    assert idle is not None
    assert longest
    assert list(pool._idle) == before
    pool.used(idle)
    assert list(pool._idle)[-1] == id(idle)


def test_what_is_reserved_is_had_back_once() -> None:
    pool = KVPool(LAYOUT, DEVICE, 3 * LAYOUT.bytes_for(64))
    first, second = (pool.reserve(pool.bytes_for(64)) for _ in range(2))
    assert first and second
    assert pool.reserved_bytes == 2 * LAYOUT.bytes_for(64)
    assert pool.reserve(pool.bytes_for(65)) is None
    for _ in range(2):
        first.release()
    assert pool.reserved_bytes == LAYOUT.bytes_for(64)
    assert pool.reserve(pool.bytes_for(65)) is not None
    assert pool.reserved_bytes == pool.budget_bytes


def test_idle_state_goes_for_a_reservation_but_not_what_is_to_be_kept() -> None:
    pool = KVPool(LAYOUT, DEVICE, 3 * LAYOUT.bytes_for(64))
    idle = [IdleBuffer("", np.full(64, n, dtype=np.int64), KVBuffer(LAYOUT, DEVICE, 64)) for n in range(3)]
    for buffer in idle:
        pool.keep(buffer)
    assert pool.reserve(pool.bytes_for(128), keep=idle[0]) is not None
    assert list(pool._idle.values()) == [idle[0]]
    assert pool.reserve(pool.bytes_for(64), keep=idle[0]) is None
    taken = pool.reserve(pool.bytes_for(64), keep=idle[0], takes=idle[0])
    assert taken is not None
    assert pool.take(idle[0]) is idle[0].buffer
    assert (pool.reserved_bytes, pool.idle_bytes) == (pool.budget_bytes, 0)


@pytest.mark.skipif(DEVICE.type != "cpu" or not is_possible(), reason="memory cannot be asked for ahead here")
def test_memory_that_is_spare_counts_and_is_the_first_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmturn_server.kvcache.spare.MUCH_BYTES", 1)
    size = LAYOUT.bytes_for(64)
    pool = KVPool(LAYOUT, DEVICE, 4 * size, spare_bytes=2 * size)
    pool.keep(IdleBuffer("", np.asarray([1], dtype=np.int64), KVBuffer(LAYOUT, DEVICE, 64)))
    assert pool.fits(3 * size)
    assert not pool.make_room_ahead()
    wait_until(lambda: pool.has_spare, "no memory was asked for")
    assert pool.fits(size) and not pool.fits(2 * size)
    assert pool.make_room(2 * size)
    assert not pool.has_spare and len(pool) == 1


@pytest.mark.skipif(DEVICE.type != "cpu" or not is_possible(), reason="memory cannot be asked for ahead here")
def test_a_buffer_takes_of_it_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmturn_server.kvcache.spare.MUCH_BYTES", 1)
    monkeypatch.setattr("warmturn_server.kvcache.buffer.MUCH_BYTES", 1)
    pool = KVPool(LAYOUT, DEVICE, 2**30, spare_bytes=LAYOUT.bytes_for(4096))
    pool.make_room_ahead()
    wait_until(lambda: pool.has_spare, "no memory was asked for")
    buffer = pool.buffer()
    buffer.reserve(8192)
    assert (pool.has_spare, buffer.is_much_new_memory) == (True, True)
    taken = pool.buffer()
    taken.reserve(1024)
    assert (pool.has_spare, taken.is_much_new_memory) == (False, False)
    for layer in range(len(LAYOUT.layers)):
        for tensor in taken.layer(layer):
            tensor.fill_(layer + 1)
    pool._spare._thread.submit(int).result()  # by then the rest has gone back
    for layer in range(len(LAYOUT.layers)):
        assert all(bool((tensor == layer + 1).all()) for tensor in taken.layer(layer))
    assert pool.fits(2**30)
